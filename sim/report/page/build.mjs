// node build.mjs FOLDER: bundles src/main.js with the packages of FOLDER/node_modules and writes
// FOLDER/page.html: the script, the style, and the licences of what was bundled.
import {readFileSync, writeFileSync, existsSync, renameSync} from 'node:fs';
import {createRequire} from 'node:module';
import path from 'node:path';
import {fileURLToPath} from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
const folder = path.resolve(process.argv[2]);
const esbuild = createRequire(path.join(folder, 'package.json'))('esbuild');

const result = await esbuild.build({
  entryPoints: [path.join(here, 'src/main.js')],
  bundle: true,
  minify: true,
  format: 'iife',
  target: 'es2020',
  charset: 'utf8',
  nodePaths: [path.join(folder, 'node_modules')],
  metafile: true,
  write: false,
  logLevel: 'warning',
});

/** Packages that the bundle holds code of, with their licences; equal texts once. */
function licences() {
  const packages = new Set();
  for (const input of Object.keys(result.metafile.inputs)) {
    const inside = input.match(/node_modules\/((?:@[^/]+\/)?[^/]+)\//);
    if (inside) packages.add(inside[1]);
  }
  const holders = new Map();
  for (const name of [...packages].sort()) {
    const place = path.join(folder, 'node_modules', name);
    const {version, license} = JSON.parse(readFileSync(path.join(place, 'package.json'), 'utf8'));
    const file = ['LICENSE', 'LICENSE.md', 'LICENSE.txt']
      .map(f => path.join(place, f)).find(f => existsSync(f));
    const text = file ? readFileSync(file, 'utf8').trim() : license;
    holders.set(text, [...(holders.get(text) ?? []), `${name} ${version}`]);
  }
  return [...holders].map(([text, names]) => `${names.join(', ')}:\n\n${text}`).join('\n\n')
    .replaceAll('-->', '-- >');
}

// A script must not hold the tag that ends it.
const script = result.outputFiles[0].text.replaceAll('</script', '<\\/script').trim();
const style = readFileSync(path.join(here, 'src/style.css'), 'utf8');
// Replaced by functions: the texts may hold "$&".
const page = readFileSync(path.join(here, 'src/page.html'), 'utf8')
  .replace('/*style*/', () => style)
  .replace('/*script*/', () => script)
  .replace('<!--licences-->', () => `<!--\nThis page holds code of\n\n${licences()}\n-->`);
writeFileSync(path.join(folder, 'page.part'), page);
renameSync(path.join(folder, 'page.part'), path.join(folder, 'page.html'));
