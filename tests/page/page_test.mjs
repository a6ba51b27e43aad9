// node tests/page/page_test.mjs FOLDER BROWSER: the pages that fetch.sh wrote into FOLDER, in headless
// Chromium. Prints what failed; exit status 1 if something did.
import {readFileSync, writeFileSync} from 'node:fs';
import {createRequire} from 'node:module';
import path from 'node:path';
import {pathToFileURL} from 'node:url';

const folder = path.resolve(process.argv[2]), chromium = process.argv[3];
const puppeteer = createRequire(path.join(folder, 'package.json'))('puppeteer-core');
const browser = await puppeteer.launch({executablePath: chromium, protocolTimeout: 300000,
  args: ['--no-sandbox', '--disable-gpu', '--hide-scrollbars']});
let checks = 0, failures = 0;

function check(what, passed, found = '') {
  ++checks;
  if (passed) return;
  ++failures;
  console.log(`FAILED: ${what}${found === '' ? '' : `: ${JSON.stringify(found)}`}`);
}

const equal = (what, found, expected) => check(what,
  JSON.stringify(found) === JSON.stringify(expected), {found, expected});

const json = name => JSON.parse(readFileSync(path.join(folder, name), 'utf8'));

/** Opens a page of FOLDER; what it logs, throws or asks the network for fails the test. */
async function open(name, {width = 1200, scheme = 'light'} = {}) {
  const page = await browser.newPage();
  page.on('console', message => check(`${name}: nothing on the console`, false, message.text()));
  page.on('pageerror', error => check(`${name}: no error`, false, error.message));
  page.on('request', request => check(`${name}: no request`,
    request.url().startsWith('file:') && request.url().endsWith(name) ||
    request.url().startsWith('data:'), request.url()));
  await page.emulateMediaFeatures([{name: 'prefers-color-scheme', value: scheme}]);
  await page.setViewport({width, height: 900});
  await page.goto(pathToFileURL(path.join(folder, name)).href);
  await page.waitForFunction(() => document.documentElement.dataset.drawn &&
    [...document.querySelectorAll('figure.chart')].every(f => f.querySelector('.drawing svg')));
  return page;
}

/** Exact values of the numbers in the rows of a table, by its caption's beginning. */
const numbersOf = (page, caption) => page.evaluate(caption => {
  const table = [...document.querySelectorAll('table')].find(t =>
    t.caption.textContent.startsWith(caption));
  return [...table.tBodies[0].rows].map(row => [...row.querySelectorAll('data')]
    .map(data => Number(data.value)));
}, caption);

/** Moves the pointer to the middle of the first such mark; returns the label of the mark on top. */
async function hover(page, selector) {
  const [x, y, label] = await page.$eval(selector, mark => {
    mark.scrollIntoView({block: 'center'});
    const box = mark.getBoundingClientRect();
    const middle = [box.x + box.width / 2, box.y + box.height / 2];
    const top = document.elementFromPoint(...middle).closest('[aria-label]:not(g):not(div)');
    return [...middle, (top ?? mark).getAttribute('aria-label')];
  });
  await page.mouse.move(x, y);
  return label;
}

/** What every page must have. */
async function checkPage(name) {
  const page = await open(name);
  const charts = await page.$$eval('figure.chart', figures => figures.map(figure => ({
    title: figure.querySelector('h3').textContent,
    marks: [...figure.querySelectorAll('.drawing svg g > [aria-label]:not(g)')].filter(mark => {
      const box = mark.getBoundingClientRect();
      return box.width > 0 && box.height > 0 && getComputedStyle(mark).fill !== '';
    }).length,
    tables: figure.querySelectorAll('table').length,
    beside: figure.parentElement.querySelectorAll('table').length,
    named: figure.querySelector('.drawing').getAttribute('aria-label') !== '',
  })));
  check(`${name}: has charts`, charts.length > 1, charts);
  for (const chart of charts) {
    check(`${name}: ${chart.title} is drawn`, chart.marks > 0);
    check(`${name}: ${chart.title} has a table`, chart.tables + chart.beside > 0);
    check(`${name}: ${chart.title} has a name`, chart.named);
  }

  // Pixels: more than a few colours where the first chart is.
  const drawing = await page.$('.drawing');
  const shot = await drawing.screenshot({encoding: 'base64'});
  const colours = await page.evaluate(async data => {
    const image = new Image();
    image.src = `data:image/png;base64,${data}`;
    await image.decode();
    const canvas = new OffscreenCanvas(image.width, image.height);
    const context = canvas.getContext('2d');
    context.drawImage(image, 0, 0);
    const {data: pixels} = context.getImageData(0, 0, image.width, image.height);
    const seen = new Set();
    for (let i = 0; i < pixels.length; i += 4)
      seen.add(pixels[i] << 16 | pixels[i + 1] << 8 | pixels[i + 2]);
    return seen.size;
  }, shot);
  check(`${name}: pixels of more than ten colours`, colours > 10, colours);

  // Tab reaches every chart and control; arrow keys read the marks of a chart.
  const expected = await page.$$eval('.drawing, select, summary, .scroll, a, button', all =>
    all.filter(element => element.checkVisibility()).length);
  const reached = new Set();
  for (let i = 0; i < expected + 5; ++i) {
    await page.keyboard.press('Tab');
    const id = await page.evaluate(() => {
      const focused = document.activeElement;
      if (focused === document.body) return null;
      return [...document.querySelectorAll('.drawing, select, summary, .scroll, a, button')]
        .indexOf(focused);
    });
    if (id !== null) reached.add(id);
  }
  equal(`${name}: Tab reaches everything`, reached.size, expected);
  await page.focus('.drawing');
  await page.keyboard.press('ArrowRight');
  const read = await page.evaluate(() => {
    const figure = document.querySelector('figure.chart');
    return [figure.querySelector('.readout').textContent,
      figure.querySelector('.current').getAttribute('aria-label'),
      figure.querySelector('.tip').classList.contains('shown')];
  });
  check(`${name}: an arrow key reads a mark`, read[0].length > 10 && read[0] === read[1] && read[2],
    read);
  await page.keyboard.press('End');
  const last = await page.$eval('.readout', readout => readout.textContent);
  check(`${name}: End reads another`, last !== read[0], last);
  await page.keyboard.press('Escape');
  check(`${name}: Escape leaves it`, await page.$('.current') === null);

  // The pointer reads the mark it is on.
  const under = await hover(page, '.drawing svg g > [aria-label]:not(g)');
  equal(`${name}: hovering shows the mark`, await page.$eval('.tip.shown', tip => tip.textContent),
    under);

  // Light, dark, and the switch between them.
  const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await background();
  await page.select('select[aria-label="Theme"]', 'dark');
  const dark = await background();
  check(`${name}: the switch makes it dark`, dark !== light);
  await page.select('select[aria-label="Theme"]', 'light');
  await page.emulateMediaFeatures([{name: 'prefers-color-scheme', value: 'dark'}]);
  equal(`${name}: light can be kept on a dark system`, await background(), light);
  await page.select('select[aria-label="Theme"]', 'auto');
  equal(`${name}: it follows a dark system`, await background(), dark);

  check(`${name}: prints`, (await page.pdf({format: 'A4'})).length > 20000);
  await page.close();

  const narrow = await open(name, {width: 390});
  const [inner, wide] = await narrow.evaluate(() =>
    [innerWidth, document.documentElement.scrollWidth]);
  check(`${name}: fits a narrow window`, wide <= inner, {inner, wide});
  await narrow.close();
}

async function checkRun() {
  const run = json('before.json');
  const page = await open('run.html');
  const cards = await page.$$eval('.card data', all => all.map(data =>
    [Number(data.value), data.textContent]));
  equal('run: the figures are the JSON’s', cards.map(([value]) => value), [run.time_us, run.cycles,
    run.clock_mhz, run.tflops, run.tensor_core_utilization, run.hbm_gbps, run.hbm_utilization,
    run.hbm_read_bytes, run.roofline_fraction, run.l2_hit_rate, run.power_w, run.energy_j]);
  equal('run: cycles as people read them', cards[1][1].replaceAll(',', ''), String(run.cycles));
  equal('run: percent as people read them', cards[4][1],
    `${(run.tensor_core_utilization * 100).toFixed(run.tensor_core_utilization < 0.1 ? 1 : 0)} %`);
  equal('run: all operations', await numbersOf(page, 'Operations in execution order'),
    run.layers.map(l => [l.repeat, l.cycles, l.time_us, l.time_fraction, l.tflops, l.hbm_gbps,
      l.l2_hit_rate, l.power_w, l.roofline_fraction]));

  // The roofline: every operation with FLOPs and traffic, at its place.
  const expected = run.layers.filter(l => l.flops > 0 && l.hbm_bytes > 0);
  equal('run: the roofline’s table', await numbersOf(page, 'Operations on the roofline'),
    expected.map(l => [l.flops / l.hbm_bytes, l.tflops, l.hbm_gbps, l.roofline_fraction, l.time_us,
      l.repeat]));
  const dots = await page.$$eval('#roofline .drawing [aria-label=dot] > *', all => all.map(dot => {
    const [x, y] = dot.getAttribute('transform').match(/[0-9.]+/g).map(Number);
    return {name: dot.getAttribute('aria-label').split(' ')[0], x, y};
  }));
  equal('run: every operation is on the roofline', dots.map(d => d.name).sort(),
    expected.map(l => l.name).sort());
  // On logarithmic axes places are linear in the logarithms.
  const placed = dots.map(dot => ({dot, layer: expected.find(l => l.name === dot.name)}));
  const by = value => [...placed].sort((a, b) => value(a) - value(b));
  const across = by(p => p.layer.flops / p.layer.hbm_bytes), up = by(p => p.layer.tflops);
  for (const [sorted, place, of, sign] of [
    [across, d => d.x, l => Math.log(l.flops / l.hbm_bytes), 1],
    [up, d => d.y, l => Math.log(l.tflops), -1]]) {
    const a = sorted[0], b = sorted[sorted.length - 1];
    const slope = (place(b.dot) - place(a.dot)) / (of(b.layer) - of(a.layer));
    check('run: the roofline’s axes have a direction', slope * sign > 0, slope);
    for (const {dot, layer} of sorted) {
      const due = place(a.dot) + slope * (of(layer) - of(a.layer));
      check('run: an operation is at its place', Math.abs(place(dot) - due) < 0.1,
        [dot.name, place(dot), due]);
    }
  }

  // Stalls: the widths of the whole run's bar are its shares.
  const bars = await page.$$eval('#stalls .drawing [aria-label=bar] > [aria-label^="all: "]', all =>
    all.map(bar => [bar.getAttribute('aria-label'), bar.getBoundingClientRect().width]));
  const whole = bars.reduce((sum, [, width]) => sum + width, 0);
  const shares = Object.values(run.stalls).filter(share => share > 0);
  equal('run: a segment for each cause', bars.length, shares.length);
  bars.forEach(([label, width], i) => check('run: segments are as wide as their shares',
    Math.abs(width / whole - shares[i]) < 0.005, [label, width / whole, shares[i]]));
  await page.select('#stalls select', 'time');
  check('run: bars may be as long as the time', await page.$$eval('#stalls .drawing [aria-label=bar] > *',
    all => all.length) > 10);

  // Over time: kernels and bins of the section that takes longest.
  const section = run.activity.reduce((a, b) => b.time_us * b.repeat > a.time_us * a.repeat ? b : a);
  equal('run: the kernels', await numbersOf(page, 'Kernels of the section'),
    section.kernels.map(k => [k.start_us, k.time_us]));
  const bins = await numbersOf(page, 'DRAM bandwidth over time');
  const read = bins.reduce((sum, [from, to, gbps]) => sum + gbps * (to - from) * 1e3, 0);
  const total = section.hbm_read_bytes.reduce((a, b) => a + b, 0);
  check('run: bandwidth over time adds up to the bytes read', Math.abs(read / total - 1) < 1e-6,
    [read, total]);

  const watts = await numbersOf(page, 'Power over time');
  const joules = watts.reduce((sum, [from, to, power]) => sum + power * (to - from) * 1e-6, 0);
  const all = section.energy_j.reduce((a, b) => a + b, 0);
  check('run: power over time adds up to the energy', all > 0 && Math.abs(joules / all - 1) < 1e-6,
    [joules, all]);

  // Numerical error and the mixtures.
  const {policy} = run.precision;
  equal('run: the mixtures', await numbersOf(page, 'Mixtures that nothing beats'),
    policy.curve.map(p => [p.time_us, p.error]));
  equal('run: each error', (await numbersOf(page, 'Numerical error by operation'))
    .map(row => row.slice(0, 4)), run.layers.filter(l => l.error.total).map(l =>
    ['quantisation', 'accumulation', 'total', 'propagated'].map(key => l.error[key].rel_rmse)));
  await page.close();
}

async function checkComparison() {
  const {figures, operations} = json('comparison.json');
  const [before, after] = [json('before.json'), json('after.json')];
  const page = await open('comparison.html');
  const rows = await numbersOf(page, 'Figures of both runs');
  for (const {name, before: a, after: b} of figures)
    check(`comparison: ${name} is the program’s`, rows.some(([x, y]) => x === a && y === b), [a, b]);
  const moved = await numbersOf(page, 'Change of time by operation');
  equal('comparison: a row for each operation', moved.length, operations.length);
  moved.forEach(([a, b], i) => {
    const near = (x, y) => Math.abs(x - y) <= 1e-9 * Math.max(1, Math.abs(y));
    check('comparison: times of an operation', near(a, operations[i].before.time_us) &&
      near(b, operations[i].after.time_us), [a, b, operations[i]]);
  });
  const sides = await page.$$eval('#summary .side', all => all.map(side => side.textContent));
  check('comparison: both are named', sides.length === 2 && sides[0].includes(before.chip) &&
    sides[1].includes(after.chip), sides);
  await page.close();
}

async function checkSweep() {
  const sweep = json('sweep.json');
  const page = await open('sweep.html');
  const marks = () => page.$$eval('#points .drawing [aria-label=dot] > *', all => all.length);
  const done = sweep.points.filter(p => p.status === 'done');
  equal('sweep: a mark for each point', await marks(), done.length);
  const front = done.filter(p => p.pareto).length;
  const columns = sweep.columns.filter(c => c.kind === 'number').length;
  const rows = await numbersOf(page, 'The Pareto front');
  equal('sweep: the front’s rows', rows.length, front);
  for (const [id, ...values] of rows) {
    const point = done.find(p => p.id === id);
    check('sweep: a row’s numbers are the point’s', values.length <= columns && values.every(v =>
      Object.values(point).includes(v)), [values, point]);
  }
  await page.close();
}

/** The page with ten thousand points in the place of its own. */
async function checkLargeSweep() {
  const sweep = json('sweep.json'), count = 10000;
  const [first, ...axes] = sweep.columns.filter(c => c.role === 'axis');
  const done = sweep.points.filter(p => p.status === 'done');
  sweep.points = Array.from({length: count}, (_, i) => {
    const point = {...done[i % done.length], id: i + 1, pareto: i % 100 === 0};
    for (const {metric} of sweep.objectives) point[metric] *= 1 + ((i * 7919) % count) / count;
    point[first.name] = 10 + i % 90;
    return point;
  });
  const html = readFileSync(path.join(folder, 'sweep.html'), 'utf8');
  const begin = html.indexOf('id="data">') + 'id="data">'.length;
  const end = html.indexOf('</script>', begin);
  writeFileSync(path.join(folder, 'large.html'), html.slice(0, begin) +
    JSON.stringify({kind: 'sweep', sweep}).replaceAll('<', '\\u003c') + html.slice(end));
  const page = await open('large.html');
  const marks = () => page.$$eval('#points .drawing [aria-label=dot] > *', all => all.length);
  equal('large sweep: all points are drawn', await marks(), count);
  const selects = await page.$$('#points .controls select');
  await selects[0].select(first.name);
  const label = await page.$eval('#points .drawing svg [aria-label="x-axis label"]', axis =>
    axis.textContent);
  check('large sweep: the axis is the one chosen', label.includes(first.name), label);
  await selects[2].select(axes[0]?.name ?? first.name);
  equal('large sweep: all points are drawn again', await marks(), count);
  await selects[4].select('front');
  equal('large sweep: the front alone', await marks(), count / 100);
  await hover(page, '#points .drawing [aria-label=dot] > *');
  check('large sweep: a point is read', (await page.$eval('#points .tip.shown', tip =>
    tip.textContent)).startsWith('Point '));
  await selects[5].select('all');
  const rows = () => page.$$eval('#points tbody tr', all => all.length);
  equal('large sweep: the table shows a part', await rows(), 300);
  await page.click('#points .paging button');
  equal('large sweep: and more when asked', await rows(), 600);
  await page.close();
}

try {
  for (const name of ['run.html', 'comparison.html', 'sweep.html']) await checkPage(name);
  await checkRun();
  await checkComparison();
  await checkSweep();
  await checkLargeSweep();
} finally {
  await browser.close();
}
console.log(`${checks - failures} checks passed, ${failures} failed`);
process.exitCode = failures > 0 ? 1 : 0;
