// One execution of a section (a layer) over time: its kernels, and what memory, L2 and tensor cores
// did meanwhile, and the power.
import * as Plot from '@observablehq/plot';
import {bounds} from './causes.js';
import {chart, choice, element, legend, swatch, table, value} from './elements.js';
import {count, number, shortened, time} from './format.js';
import {bins, rate, unnumbered} from './run_data.js';

function kernels(run, section) {
  const rows = section.kernels.map((kernel, i) => ({...kernel, row: `${i}`,
    op: run.layers[kernel.layer]}));
  const read = k => `${k.name} (${unnumbered(k.op.name)}): from ${time(k.start_us)}, ` +
    `${time(k.time_us)}, bound by ${k.op.bound}`;
  const draw = width => {
    const most = width < 560 ? 14 : Math.min(30, Math.max(...rows.map(k => k.name.length)));
    return Plot.plot({
      width, height: 50 + rows.length * 24, marginLeft: 14 + most * 6.6, marginBottom: 38,
      marginTop: 8, marginRight: 60,
      x: {domain: [0, section.time_us], label: 'time in the section →', tickFormat: x => time(x),
        ticks: width < 560 ? 3 : 7, grid: true},
      y: {domain: rows.map(k => k.row), label: null, tickSize: 0, padding: 0.2,
        tickFormat: row => shortened(rows[row].name, most)},
      marks: [
        Plot.barX(rows, {y: 'row', x1: 'start_us', x2: k => k.start_us + k.time_us,
          fill: k => bounds[k.op.bound].fill, stroke: 'var(--text)', strokeWidth: 0.6,
          ariaLabel: read}),
        Plot.text(rows, {y: 'row', x: k => k.start_us + k.time_us, text: k => time(k.time_us),
          textAnchor: 'start', dx: 5, fill: 'var(--text)', stroke: 'var(--surface)', strokeWidth: 3}),
      ],
    });
  };
  const present = [...new Set(rows.map(k => k.op.bound))];
  return chart({
    title: 'Kernels', draw,
    description: 'When each kernel ran, launch gaps left out.',
    legend: legend(present.map(bound => [swatch(bounds[bound].fill), `bound by ${bound}`])),
    tables: [table('Kernels of the section', [
      {title: 'Kernel', left: true, of: k => k.name},
      {title: 'Operation', left: true, of: k => k.op.name},
      {title: 'Starts', of: k => value(k.start_us, time(k.start_us))},
      {title: 'Takes', of: k => value(k.time_us, time(k.time_us))},
      {title: 'Bound', left: true, of: k => k.op.bound},
    ], rows)],
  });
}

/** layers: [{key, label, fill}], stacked from the bottom. */
function series({title, description, unit, scale, layers, all, section, peak, peakName}) {
  const at = (bin, key) => rate(bin, key) * scale;
  if (all.every(bin => layers.every(({key}) => bin[key] === 0)))
    return element('p', {class: 'note'}, `${title}: nothing in this section.`);
  const stacked = all.map(bin => {
    let base = 0;
    return layers.map(layer => ({bin, layer, y1: base, y2: base += at(bin, layer.key)}));
  });
  const top = Math.max(peak ?? 0, ...stacked.map(parts => parts[parts.length - 1].y2)) * 1.08 || 1;
  const read = bin => `${time(bin.start)} to ${time(bin.end)}: ` +
    layers.map(({key, label}) => `${label} ${number(at(bin, key))} ${unit}`).join(', ');
  const draw = width => Plot.plot({
    width, height: 190, marginLeft: 56, marginBottom: 38, marginRight: 20,
    x: {domain: [0, section.time_us], label: 'time in the section →', tickFormat: x => time(x),
      ticks: width < 560 ? 3 : 7},
    y: {domain: [0, top], label: `↑ ${unit}`, grid: true, ticks: 4},
    marks: [
      ...layers.map((layer, i) => Plot.rect(stacked.map(parts => parts[i]), {
        x1: s => s.bin.start, x2: s => s.bin.end, y1: 'y1', y2: 'y2', fill: layer.fill, shapeRendering: 'crispEdges',
        // The lowest of the stack reads all of it.
        ...(i === 0 ? {ariaLabel: s => read(s.bin)} : {ariaHidden: 'true'})})),
      peak ? Plot.ruleY([peak], {stroke: 'var(--text)', strokeDasharray: '5 4'}) : null,
      peak ? Plot.text([peak], {x: () => section.time_us, y: d => d, text: () =>
        `${peakName} ${number(peak)}`, textAnchor: 'end', dy: -7, fill: 'var(--text)',
        stroke: 'var(--surface)', strokeWidth: 3}) : null,
      Plot.ruleY([0]),
    ],
  });
  return chart({
    title, description, draw,
    legend: legend(layers.map(layer => [swatch(layer.fill), layer.label])),
    tables: [table(title, [
      {title: 'From', of: bin => value(bin.start, time(bin.start))},
      {title: 'To', of: bin => value(bin.end, time(bin.end))},
      ...layers.map(({key, label}) => ({title: `${label}, ${unit}`,
        of: bin => value(at(bin, key), number(at(bin, key)))})),
    ], all)],
  });
}

function charts(run, section) {
  const all = bins(section);
  const made = [kernels(run, section)];
  if (all.length === 0) return made;
  made.push(series({title: 'DRAM bandwidth over time', unit: 'GB/s', scale: 1, all, section,
    peak: run.hbm_peak_gbps, peakName: 'peak',
    layers: [{key: 'hbm_read_bytes', label: 'read', fill: 'url(#p-hbm)'},
      {key: 'hbm_write_bytes', label: 'written', fill: 'url(#p-epilogue)'}]}));
  made.push(series({title: 'L2 traffic over time', unit: 'GB/s', scale: 1,
    all: all.map(bin => ({...bin, l2_miss_bytes: bin.l2_read_bytes - bin.l2_hit_bytes})), section,
    layers: [{key: 'l2_hit_bytes', label: 'read and there', fill: 'url(#p-l2)'},
      {key: 'l2_miss_bytes', label: 'read and not there', fill: 'url(#p-hbm)'},
      {key: 'l2_write_bytes', label: 'written', fill: 'url(#p-epilogue)'}]}));
  made.push(series({title: 'Tensor cores over time', unit: 'TFLOP/s', scale: 1e-3, all, section,
    peak: run.peak_tflops, peakName: 'peak',
    layers: [{key: 'tensor_flops', label: 'all cores', fill: 'url(#p-tensor_core)'}]}));
  // J/us are 10^6 W, and rate() counts 10^9 a second.
  if (section.energy_j)
    made.push(series({title: 'Power over time', unit: 'W', scale: 1e9, all, section,
      description: 'Mean power of each stretch of time, idle power included; the cap holds for the average.',
      peak: run.power_cap_w, peakName: 'cap',
      layers: [{key: 'energy_j', label: 'chip', fill: 'url(#p-tensor_core)'}]}));
  return made;
}

/** The charts of one section at a time, of the run's `activity`. */
export function activity(run) {
  const holder = element('div', {class: 'sections'});
  const show = index => {
    const section = run.activity[index];
    holder.replaceChildren(element('p', {class: 'note'},
      `${section.section}: ${count(section.cycles)} cycles, ${time(section.time_us)}` +
      (section.repeat > 1 ? `; it runs ${section.repeat} times, and all are alike` : '') + '.'),
    ...charts(run, section));
  };
  // The one that most of the time is spent in comes first.
  const weight = i => run.activity[i].time_us * run.activity[i].repeat;
  const order = run.activity.map((_, i) => i).sort((a, b) => weight(b) - weight(a));
  show(order[0]);
  return element('div', {},
    run.activity.length > 1 ? element('div', {class: 'controls'}, choice('Section',
      run.activity.map((section, i) => [String(i), section.section +
        (section.repeat > 1 ? ` ×${section.repeat}` : '')]), String(order[0]),
      chosen => show(Number(chosen)))) : null,
    holder);
}
