// Builds static/dist: one stylesheet, one script and the pictures, each under a
// name that holds its content's hash, with a gzip and a Brotli twin beside it,
// and manifest.json, by which static.go finds them.
import { build } from "esbuild";
import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, gzipSync } from "node:zlib";

const root = fileURLToPath(new URL(".", import.meta.url));
const dist = join(root, "dist");

for (const name of await readdir(dist)) {
  if (name !== ".gitkeep") await rm(join(dist, name), { recursive: true });
}

const { metafile } = await build({
  absWorkingDir: root,
  entryPoints: ["css/app.css", "js/app.js", "img/favicon.svg"],
  outdir: dist,
  entryNames: "[name]-[hash]",
  loader: { ".svg": "copy" },
  bundle: true,
  minify: true,
  metafile: true,
  format: "esm",
  target: ["chrome120", "firefox121", "safari17.2"],
  legalComments: "none",
  logLevel: "warning",
});

const manifest = {};
for (const [output, { entryPoint }] of Object.entries(metafile.outputs)) {
  const file = basename(output);
  manifest[basename(entryPoint)] = file;
  const bytes = await readFile(join(dist, file));
  await writeFile(join(dist, `${file}.gz`), gzipSync(bytes, { level: 9 }));
  await writeFile(join(dist, `${file}.br`), brotliCompressSync(bytes));
}
// Written last: an interrupted build leaves no manifest and is noticed at start.
await writeFile(join(dist, "manifest.json"), JSON.stringify(manifest, null, 2) + "\n");
