package e2e

import (
	"bytes"
	"cmp"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/playwright-community/playwright-go"
)

// allPictures is how much all pictures together may take.
const allPictures = 5 << 20

// forReadme are the views that the README shows, as they look on a desk before
// anybody scrolls.
var forReadme = []string{"overview", "pricing", "organization"}

// TestScreenshots is make screenshots: a picture of every view at the width of a
// desk and of a phone, in both colour schemes. The seed and the present are
// fixed, so that a picture changes when the page does.
func TestScreenshots(t *testing.T) {
	if *screenshots == "" {
		t.Skip("make screenshots asks for them")
	}
	must(t, os.MkdirAll(*screenshots, 0o755), "make the folder")
	browser := openBrowser(t)
	w := cast(t)
	total, shown := 0, 0
	for _, v := range views {
		for _, width := range []int{1280, 390} {
			for _, scheme := range []*playwright.ColorScheme{playwright.ColorSchemeLight, playwright.ColorSchemeDark} {
				name := fmt.Sprintf("%s-%d-%s", v.name, width, *scheme)
				picture := take(t, browser, w, v, width, scheme)
				must(t, os.WriteFile(filepath.Join(*screenshots, name+".png"), picture, 0o644), "keep %s", name)
				fmt.Printf("%8d  %s\n", len(picture), name)
				total += len(picture)
			}
		}
		if slices.Contains(forReadme, v.name) {
			picture := take(t, browser, w, v, 1280, nil)
			must(t, os.WriteFile(filepath.Join(projectRoot(), "docs", "img", v.name+".png"), picture, 0o644), "keep %s for the README", v.name)
			fmt.Printf("%8d  docs/img/%s.png\n", len(picture), v.name)
			total += len(picture)
			shown++
		}
	}
	fmt.Printf("%8d  together, in %s\n", total, *screenshots)
	if total > allPictures {
		t.Errorf("the pictures take %d bytes, %d are allowed", total, allPictures)
	}
	if shown != len(forReadme) {
		t.Errorf("the README shows %d pictures, and %d of them were taken", len(forReadme), shown)
	}
}

// take makes a picture of a whole page; without a scheme, of what of it is to be
// seen at once, by day.
func take(t *testing.T, browser playwright.Browser, w *world, v view, width int, scheme *playwright.ColorScheme) []byte {
	t.Helper()
	isWhole := scheme != nil
	if !isWhole {
		scheme = playwright.ColorSchemeLight
	}
	page := openAs(t, browser, w.cookies(v.as), width, scheme)
	must(t, page.SetViewportSize(width, 860), "set the size")
	v.visit(t, w, page)
	must(t, page.WaitForLoadState(), "load")
	raw, err := page.Screenshot(playwright.PageScreenshotOptions{
		FullPage: playwright.Bool(isWhole), Animations: playwright.ScreenshotAnimationsDisabled, Caret: playwright.ScreenshotCaretHide,
	})
	must(t, err, "take a picture of %s", v.name)
	must(t, page.Context().Close(), "leave")
	picture, err := reduce(raw)
	must(t, err, "reduce the picture of %s", v.name)
	return picture
}

// reduce writes a picture with at most 256 colours, which takes a third of the
// space. Pages have few colours and many shades of them at the edges of
// letters: the most frequent ones stay as they are, and the others become the
// nearest of these.
func reduce(raw []byte) ([]byte, error) {
	full, err := png.Decode(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("read picture: %w", err)
	}
	bounds := full.Bounds()
	count := map[color.RGBA]int{}
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			count[opaque(full.At(x, y))]++
		}
	}
	shades := slices.SortedFunc(maps.Keys(count), func(a, b color.RGBA) int {
		return cmp.Or(cmp.Compare(count[b], count[a]), cmp.Compare(a.R, b.R), cmp.Compare(a.G, b.G), cmp.Compare(a.B, b.B))
	})
	var palette color.Palette
	index := map[color.RGBA]uint8{}
	for _, shade := range shades {
		if len(palette) < 256 {
			palette = append(palette, shade)
		}
		index[shade] = uint8(palette.Index(shade)) //nolint:gosec // below 256
	}
	reduced := image.NewPaletted(bounds, palette)
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			reduced.SetColorIndex(x, y, index[opaque(full.At(x, y))])
		}
	}
	var out bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestCompression}
	if err := encoder.Encode(&out, reduced); err != nil {
		return nil, fmt.Errorf("write picture: %w", err)
	}
	return out.Bytes(), nil
}

// opaque: a page has no holes.
func opaque(c color.Color) color.RGBA {
	r, g, b, _ := c.RGBA()
	return color.RGBA{R: uint8(r >> 8), G: uint8(g >> 8), B: uint8(b >> 8), A: 255} //nolint:gosec // 16 bits to 8
}
