// The page of two runs, side by side.
import * as Plot from '@observablehq/plot';
import {activity} from './activity.js';
import {causes, fillOf} from './causes.js';
import {chart, element, legend, section, swatch, table, value} from './elements.js';
import {bytes, change, count, number, percent, shortened, signed, time} from './format.js';
import {roofline} from './roofline.js';
import {figures, notes, operations} from './run.js';
import {groups, sharedPrefix} from './run_data.js';
import {stalls} from './stalls.js';

const rows = [
  ['Time', 'time_us', time], ['Cycles', 'cycles', count],
  ['Clock', 'clock_mhz', v => `${number(v)} MHz`], ['Compute', 'tflops', v => `${number(v)} TFLOP/s`],
  ['Tensor cores’ peak used', 'tensor_core_utilization', percent],
  ['DRAM bandwidth', 'hbm_gbps', v => `${number(v)} GB/s`],
  ['DRAM’s peak used', 'hbm_utilization', percent],
  ['Read from DRAM', 'hbm_read_bytes', bytes], ['Written to DRAM', 'hbm_write_bytes', bytes],
  ['L2 hits', 'l2_hit_rate', percent], ['Power', 'power_w', v => `${number(v)} W`],
  ['Energy', 'energy_j', v => `${number(v)} J`], ['Roofline', 'roofline_us', time],
  ['Of the roofline', 'roofline_fraction', percent],
];

/** Operations of both runs by name; a missing one takes no time. */
function pairs(before, after) {
  const none = {time_us: 0, stalls: {}, precision: '', bound: ''};
  const byName = run => {
    const found = new Map();
    for (const group of groups(run)) {
      const known = found.get(group.name);
      if (!known) found.set(group.name, {...group, causes: causesOf(group)});
      else {
        known.time_us += group.time_us;
        if (known.precision !== group.precision) known.precision = 'mixed';
        for (const [key, us] of Object.entries(causesOf(group))) known.causes[key] += us;
      }
    }
    return found;
  };
  const causesOf = group => Object.fromEntries(causes.map(({key}) =>
    [key, (group.stalls[key] ?? 0) * group.time_us]));
  const a = byName(before), b = byName(after);
  return [...new Set([...a.keys(), ...b.keys()])].map(name => ({name,
    before: a.get(name) ?? {...none, causes: causesOf(none)},
    after: b.get(name) ?? {...none, causes: causesOf(none)}}));
}

/** How the time of each operation changed, by cause: what got longer to the right. */
function moved(all, prefix) {
  const present = causes.filter(({key}) => all.some(({before, after}) =>
    Math.abs(after.causes[key] - before.causes[key]) > 0));
  const segments = [], ends = [];
  for (const pair of all) {
    let left = 0, right = 0;
    for (const {key, label} of present) {
      const delta = pair.after.causes[key] - pair.before.causes[key];
      if (delta === 0) continue;
      const from = delta > 0 ? right : left;
      if (delta > 0) right += delta;
      else left += delta;
      segments.push({pair, key, label, delta, x1: Math.min(from, from + delta),
        x2: Math.max(from, from + delta)});
    }
    ends.push({pair, left, right, net: right + left});
  }
  const low = Math.min(0, ...ends.map(e => e.left)), high = Math.max(0, ...ends.map(e => e.right));
  const pad = (high - low || 1) * 0.12;
  const nameOf = pair => pair.name.slice(prefix.length);
  const draw = width => {
    const most = width < 560 ? 16 : Math.min(34, Math.max(...all.map(p => nameOf(p).length)));
    return Plot.plot({
      width, height: 46 + all.length * 26, marginLeft: 14 + most * 6.6, marginTop: 8,
      marginBottom: 38, marginRight: 20,
      x: {domain: [low - pad, high + pad], label: 'change of time →', grid: true,
        tickFormat: x => x === 0 ? '0' : signed(x, time), ticks: width < 560 ? 3 : 6},
      y: {domain: all.map(p => p.name), label: null, tickSize: 0, padding: 0.18,
        tickFormat: name => shortened(name.slice(prefix.length), most)},
      marks: [
        Plot.barX(segments, {y: s => s.pair.name, x1: 'x1', x2: 'x2', fill: s => fillOf(s.key),
          stroke: 'var(--surface)', strokeWidth: 1, ariaLabel: s => `${nameOf(s.pair)}: ` +
            `${s.label} ${signed(s.delta, time)}`}),
        Plot.ruleX([0]),
        Plot.text(ends, {y: e => e.pair.name, x: 'right', dx: 5, textAnchor: 'start',
          text: e => signed(e.net, time), fill: 'var(--text)', stroke: 'var(--surface)',
          strokeWidth: 3}),
      ],
    });
  };
  return chart({
    title: 'What moved', draw,
    description: 'The change of each operation’s time, by cause. To the right: longer than before. ' +
      'The number is their sum.',
    legend: legend(present.map(({key, label}) => [swatch(fillOf(key)), label])),
    tables: [table('Change of time by operation and cause', [
      {title: 'Operation', left: true, of: p => p.name},
      {title: 'Precision', left: true, of: p => p.before.precision === p.after.precision
        ? p.before.precision : `${p.before.precision || '–'} → ${p.after.precision || '–'}`},
      {title: 'Before', of: p => value(p.before.time_us, time(p.before.time_us))},
      {title: 'After', of: p => value(p.after.time_us, time(p.after.time_us))},
      {title: 'Change', of: p => change(p.before.time_us, p.after.time_us)},
      ...present.map(({key, label}) => ({title: label, of: p => {
        const delta = p.after.causes[key] - p.before.causes[key];
        return value(delta, delta === 0 ? '–' : signed(delta, time));
      }})),
    ], all)],
    open: true,
  });
}

export function comparePage(before, after) {
  const runs = [{run: before, label: 'before'}, {run: after, label: 'after'}];
  const all = pairs(before, after);
  const prefix = sharedPrefix(all.map(p => p.name));
  const faster = before.time_us > 0 ? after.time_us / before.time_us - 1 : 0;
  const sides = made => element('div', {class: 'sides'}, runs.map(({run, label}) =>
    element('div', {}, element('h3', {class: 'side'}, `${label}: ${run.workload} on ${run.chip}`),
      made(run))));
  const parts = [
    section('summary', 'In short', element('p', {class: 'lead'},
      'The run after takes ', value(after.time_us, time(after.time_us)), ' where the one before took ',
      value(before.time_us, time(before.time_us)), `: ${signed(faster, f => percent(f))}.`),
    table('Figures of both runs', [
      {title: 'Figure', left: true, of: ([title]) => title},
      {title: 'Before', of: ([, key, text]) => value(before[key], text(before[key]))},
      {title: 'After', of: ([, key, text]) => value(after[key], text(after[key]))},
      {title: 'Change', of: ([, key]) => change(before[key], after[key])},
    ], rows), sides(run => [figures(run), notes(run)])),
    section('moved', 'What moved', moved(all, prefix)),
    section('stalls', 'Why each takes this long', stalls(runs)),
    section('roofline', 'Against the chips’ peaks', roofline(runs)),
  ];
  if (runs.some(({run}) => run.activity?.length > 0)) {
    parts.push(section('time', 'Over time', sides(run => run.activity?.length > 0 ? activity(run)
      : element('p', {class: 'note'}, 'This report has no activity.'))));
  }
  parts.push(section('operations', 'All operations', sides(operations)));
  return {title: before.workload === after.workload ? `${before.workload}: ${before.chip} and ` +
    after.chip : `${before.workload} and ${after.workload}`,
  facts: runs.map(({run, label}) => `${label}: tessera ${run.tool_version}, digest ${run.digest}`),
  parts};
}
