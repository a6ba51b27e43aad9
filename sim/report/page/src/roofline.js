// The roofline: FLOP/s against FLOP per byte of DRAM traffic, every operation on it.
import * as Plot from '@observablehq/plot';
import {bounds} from './causes.js';
import {chart, element, legend, symbolPicture, table, value} from './elements.js';
import {number, percent, shortened, time} from './format.js';
import {intensity, sharedPrefix, unnumbered} from './run_data.js';

/**
 * Places texts beside marks without one covering another: those of most weight first, each to the
 * right, left, above or below its mark, or nowhere. `marks`: [{px, py, text}] in pixels.
 */
function placed(marks, width, most) {
  const taken = marks.map(({px, py}) => [px - 6, py - 6, px + 6, py + 6]);
  const free = box => box[0] > 50 && box[2] < width &&
    !taken.some(t => t[0] < box[2] && box[0] < t[2] && t[1] < box[3] && box[1] < t[3]);
  const result = [];
  for (const mark of marks) {
    if (result.length === most) break;
    const {px, py, text} = mark, size = text.length * 6.4 + 4;
    const places = [['start', 11, 0], ['end', -11, 0], ['middle', 0, 16], ['middle', 0, -16]];
    for (const [anchor, dx, dy] of places) {
      const left = px + dx - (anchor === 'start' ? 0 : anchor === 'end' ? size : size / 2);
      const box = [left, py + dy - 7, left + size, py + dy + 7];
      if (!free(box)) continue;
      taken.push(box);
      result.push({...mark, anchor, dx, dy});
      break;
    }
  }
  return result;
}

/** runs: [{run, label}], the first filled, the second hollow. */
export function roofline(runs) {
  const points = runs.flatMap(({run, label}, which) => run.layers
    .filter(layer => intensity(layer) !== null && layer.tflops > 0)
    .map(layer => ({run, label, which, layer, x: intensity(layer), y: layer.tflops})));
  if (points.length === 0) {
    return element('p', {class: 'note'},
      'No operation has both FLOPs and DRAM traffic: none is on the roofline.');
  }
  const {peak_tflops: peak, hbm_peak_gbps: bandwidth} = runs[0].run;
  const ridge = peak * 1e3 / bandwidth;
  const low = Math.min(ridge / 8, ...points.map(p => p.x)) / 1.6;
  const high = Math.max(ridge * 8, ...points.map(p => p.x)) * 1.6;
  const bottom = Math.min(peak / 50, ...points.map(p => p.y)) / 1.6;
  const roofs = runs.map(({run}, which) => ({which, line: [low, run.peak_tflops * 1e3 /
    run.hbm_peak_gbps, high].map(x => ({x, y: Math.min(run.peak_tflops,
    x * run.hbm_peak_gbps * 1e-3)}))}));
  const name = p => (runs.length > 1 ? `${p.label}: ` : '') + p.layer.name;
  const read = p => `${name(p)} (${p.layer.op}, ${p.layer.precision}): ${number(p.y)} TFLOP/s at ` +
    `${number(p.x)} FLOP/byte, bound by ${p.layer.bound}, ` +
    `${percent(p.layer.roofline_fraction)} of its roofline, ${time(p.layer.time_us)} × ` +
    `${p.layer.repeat}`;

  const weight = p => p.layer.time_us * p.layer.repeat;
  const prefix = sharedPrefix(points.map(p => p.layer.name));
  const sorted = [...points].sort((a, b) => weight(b) - weight(a));
  const first = new Map();  // of the operations of equal layers
  for (const p of sorted) {
    const key = `${p.which} ${unnumbered(p.layer.name)}`;
    if (!first.has(key)) first.set(key, p);
  }
  const top = peak * 2.2, margin = {left: 56, right: 20, top: 24, bottom: 42};
  const draw = width => {
    const height = Math.min(460, Math.max(300, width * 0.5));
    // Direct text for what takes longest.
    const labelled = placed([...first.values()].map(p => ({
      ...p, text: shortened(unnumbered(name(p)).replace(prefix, ''), 26),
      px: margin.left + Math.log(p.x / low) / Math.log(high / low) *
        (width - margin.left - margin.right),
      py: height - margin.bottom - Math.log(p.y / bottom) / Math.log(top / bottom) *
        (height - margin.top - margin.bottom)})), width, 14);
    const powers = (from, to) => Array.from({length: 40}, (_, i) => 10 ** (i - 20))
      .filter(x => x >= from && x <= to);
    return Plot.plot({
      width, height, marginLeft: margin.left, marginBottom: margin.bottom, marginTop: margin.top,
      marginRight: margin.right,
      x: {type: 'log', domain: [low, high], label: 'FLOP per byte of DRAM traffic →', grid: true,
        ticks: powers(low, high), tickFormat: number},
      y: {type: 'log', domain: [bottom, top], label: '↑ TFLOP/s', grid: true,
        ticks: powers(bottom, top), tickFormat: number},
      symbol: {domain: Object.keys(bounds), range: Object.values(bounds).map(b => b.symbol)},
      r: {type: 'identity'},
      marks: [
        roofs.map(({which, line}) => Plot.line(line, {x: 'x', y: 'y', stroke: 'var(--text)',
          strokeWidth: 1.5, strokeDasharray: which ? '6 4' : null})),
        Plot.text([{}], {x: () => high, y: () => peak, text: () =>
          `tensor cores: ${number(peak)} TFLOP/s`, textAnchor: 'end', dx: -4, dy: -9,
          fill: 'var(--text)'}),
        Plot.text([{}], {x: () => Math.sqrt(low * ridge),
          y: () => Math.sqrt(low * ridge) * bandwidth * 1e-3, text: () => `DRAM: ${number(bandwidth)} GB/s`,
          textAnchor: 'end', dx: -8, dy: -8, fill: 'var(--text)', stroke: 'var(--surface)',
          strokeWidth: 3}),
        Plot.dot(points, {x: 'x', y: 'y', symbol: p => p.layer.bound,
          fill: p => p.which ? 'var(--surface)' : bounds[p.layer.bound].color,
          stroke: p => p.which ? bounds[p.layer.bound].color : 'var(--surface)',
          strokeWidth: p => p.which ? 2 : 1,
          r: p => 4 + 7 * Math.sqrt(p.layer.time_fraction), sort: p => -weight(p), ariaLabel: read}),
        labelled.map(p => Plot.text([p], {x: 'x', y: 'y', text: 'text', textAnchor: p.anchor,
          dx: p.dx, dy: p.dy, fill: 'var(--text)', stroke: 'var(--surface)', strokeWidth: 4})),
      ].flat(),
    });
  };

  const present = new Set(points.map(p => p.layer.bound));
  const keys = Object.entries(bounds).filter(([key]) => present.has(key))
    .map(([key, {symbol, color}]) => [symbolPicture(symbol, color), `bound by ${key}`]);
  return chart({
    title: 'Roofline', draw, legend: legend(keys),
    description: 'What each operation reached, beside what the chip’s peaks allow at its traffic. ' +
      'The larger a mark, the more of the time it takes.' + (runs.length > 1
      ? ` Filled: ${runs[0].label}. Hollow, dashed roof: ${runs[1].label}.` : ''),
    tables: [table('Operations on the roofline', [
      {title: 'Operation', left: true, of: p => name(p)},
      {title: 'Precision', left: true, of: p => p.layer.precision},
      {title: 'FLOP/byte', of: p => value(p.x, number(p.x))},
      {title: 'TFLOP/s', of: p => value(p.layer.tflops, number(p.layer.tflops))},
      {title: 'GB/s', of: p => value(p.layer.hbm_gbps, number(p.layer.hbm_gbps))},
      {title: 'Bound', left: true, of: p => p.layer.bound},
      {title: 'Of its roofline', of: p => value(p.layer.roofline_fraction,
        percent(p.layer.roofline_fraction))},
      {title: 'Time', of: p => value(p.layer.time_us, time(p.layer.time_us))},
      {title: 'Times', of: p => value(p.layer.repeat, number(p.layer.repeat))},
    ], points)],
  });
}
