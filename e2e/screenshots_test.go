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
const allPictures = 8 << 20

// forReadme are the views that the README shows, by how much of their height.
var forReadme = map[string]int{"overview": 960, "pricing": 860, "organization": 1440, "explanation": 900}

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
				picture := take(t, browser, w, v, width, scheme, wholePage)
				must(t, os.WriteFile(filepath.Join(*screenshots, name+".png"), picture, 0o644), "keep %s", name)
				fmt.Printf("%8d  %s\n", len(picture), name)
				total += len(picture)
			}
		}
		if height := forReadme[v.name]; height > 0 {
			picture := take(t, browser, w, v, 1280, playwright.ColorSchemeLight, height)
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

// wholePage is the height of a picture that goes to the foot of the page.
const wholePage = 0

// take makes a picture of a view.
func take(t *testing.T, browser playwright.Browser, w *world, v view, width int, scheme *playwright.ColorScheme, height int) []byte {
	t.Helper()
	page := openAs(t, browser, w.cookies(v.as), width, scheme)
	if height != wholePage {
		must(t, page.SetViewportSize(width, height), "set the size")
	}
	v.visit(t, w, page)
	must(t, page.WaitForLoadState(), "load")
	raw, err := page.Screenshot(playwright.PageScreenshotOptions{
		FullPage: playwright.Bool(height == wholePage), Animations: playwright.ScreenshotAnimationsDisabled, Caret: playwright.ScreenshotCaretHide,
	})
	must(t, err, "take a picture of %s", v.name)
	must(t, page.Context().Close(), "leave")
	colours := 64
	if height == wholePage { // there are many of these
		colours = 16
	}
	picture, err := reduce(raw, colours)
	must(t, err, "reduce the picture of %s", v.name)
	return picture
}

// reduce writes a picture with few colours, which takes a third of the space.
// Pages have few colours and many shades of them at the edges of letters. Taken
// is each time the colour that would be missed most: by how many points, and by
// how far off the nearest of those taken already is.
func reduce(raw []byte, colours int) ([]byte, error) {
	full, err := png.Decode(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("read picture: %w", err)
	}
	bounds := full.Bounds()
	points := map[color.RGBA]int{}
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			points[opaque(full.At(x, y))]++
		}
	}
	// In an order of their own, so that equal pages make equal pictures.
	shades := slices.SortedFunc(maps.Keys(points), func(a, b color.RGBA) int {
		return cmp.Or(cmp.Compare(a.R, b.R), cmp.Compare(a.G, b.G), cmp.Compare(a.B, b.B))
	})
	distances := slices.Repeat([]int{1 << 20}, len(shades))
	var palette color.Palette
	for len(palette) < min(colours, len(shades)) {
		missed, most := 0, -1
		for i, shade := range shades {
			if misses := points[shade] * distances[i]; misses > most {
				missed, most = i, misses
			}
		}
		taken := shades[missed]
		palette = append(palette, taken)
		for i, shade := range shades {
			distances[i] = min(distances[i], distance(shade, taken))
		}
	}
	index := map[color.RGBA]uint8{}
	for _, shade := range shades {
		index[shade] = uint8(palette.Index(shade)) //nolint:gosec // there are few
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

// distance between two colours, squared.
func distance(a, b color.RGBA) int {
	r, g, bl := int(a.R)-int(b.R), int(a.G)-int(b.G), int(a.B)-int(b.B)
	return r*r + g*g + bl*bl
}

// opaque: a page has no holes.
func opaque(c color.Color) color.RGBA {
	r, g, b, _ := c.RGBA()
	return color.RGBA{R: uint8(r >> 8), G: uint8(g >> 8), B: uint8(b >> 8), A: 255} //nolint:gosec // 16 bits to 8
}
