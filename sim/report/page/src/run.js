// The page of one run.
import {activity} from './activity.js';
import {element, section, table, value} from './elements.js';
import {bytes, count, number, percent, time} from './format.js';
import {errors, policy} from './precision.js';
import {roofline} from './roofline.js';
import {studied} from './run_data.js';
import {stalls} from './stalls.js';
import {causeOf} from './causes.js';

const card = (title, main, beside) => element('div', {class: 'card'},
  element('dt', {}, title), element('dd', {}, main), beside ? element('dd', {class: 'beside'},
    beside) : null);

export const figures = run => element('dl', {class: 'cards'},
  card('Time', value(run.time_us, time(run.time_us)),
    [value(run.cycles, count(run.cycles)), ' cycles at ', value(run.clock_mhz,
      `${count(Math.round(run.clock_mhz))} MHz`)]),
  card('Compute', value(run.tflops, `${number(run.tflops)} TFLOP/s`),
    [value(run.tensor_core_utilization, percent(run.tensor_core_utilization)),
      ' of the tensor cores’ peak']),
  card('DRAM', value(run.hbm_gbps, `${number(run.hbm_gbps)} GB/s`),
    [value(run.hbm_utilization, percent(run.hbm_utilization)), ' of peak; ',
      value(run.hbm_read_bytes, bytes(run.hbm_read_bytes)), ' read']),
  card('Of the roofline', value(run.roofline_fraction, percent(run.roofline_fraction)),
    ['bound by ', run.bound]),
  card('L2 hits', value(run.l2_hit_rate, percent(run.l2_hit_rate)), 'of the bytes read through it'),
  card('Power', value(run.power_w, `${number(run.power_w)} W`),
    [value(run.energy_j, `${number(run.energy_j)} J`), ' in all']));

function summary(run) {
  const [cause, share] = Object.entries(run.stalls).filter(([key]) => key !== 'tensor_core')
    .reduce((a, b) => b[1] > a[1] ? b : a, ['', 0]);
  const work = run.stalls.tensor_core ?? 0;
  const most = share > 0 ? ` Of the rest, ${causeOf.get(cause).label} took most: ${percent(share)}.`
    : '';
  return `The tensor cores multiplied in ${percent(work)} of all core-cycles.${most} ` +
    `The chip’s peaks would allow ${time(run.roofline_us)}.`;
}

export const operations = run => table('Operations in execution order; the numbers of one execution', [
  {title: 'Operation', left: true, of: l => l.name},
  {title: 'Kind', left: true, of: l => l.op},
  {title: 'Precision', left: true, of: l => l.precision},
  {title: 'Times', of: l => value(l.repeat, count(l.repeat))},
  {title: 'Cycles', of: l => value(l.cycles, count(l.cycles))},
  {title: 'Time', of: l => value(l.time_us, time(l.time_us))},
  {title: 'Of the run', of: l => value(l.time_fraction, percent(l.time_fraction))},
  {title: 'TFLOP/s', of: l => value(l.tflops, number(l.tflops))},
  {title: 'DRAM GB/s', of: l => value(l.hbm_gbps, number(l.hbm_gbps))},
  {title: 'L2 hits', of: l => value(l.l2_hit_rate, percent(l.l2_hit_rate))},
  {title: 'Power', of: l => value(l.power_w, `${number(l.power_w)} W`)},
  {title: 'Bound', left: true, of: l => l.bound},
  {title: 'Of its roofline', of: l => value(l.roofline_fraction, percent(l.roofline_fraction))},
], run.layers);

export const notes = run => run.notes.length === 0 ? null
  : element('ul', {class: 'notes'}, run.notes.map(note => element('li', {}, note)));

export function runPage(run) {
  const runs = [{run, label: run.chip}];
  const {precision} = run;
  const parts = [
    section('summary', 'In short', element('p', {class: 'lead'}, summary(run)), figures(run),
      notes(run)),
    section('roofline', 'Against the chip’s peaks', roofline(runs)),
    section('stalls', 'Why it takes this long', stalls(runs)),
  ];
  if (run.activity?.length > 0)
    parts.push(section('time', 'Over time', activity(run)));
  if (studied(run).length > 0 || precision?.policy) {
    parts.push(section('precision', 'Numerical error',
      precision.layer_output_error > 0 ? element('p', {class: 'lead'},
        'The error of the residual stream behind the first layer is ',
        value(precision.layer_output_error, number(precision.layer_output_error)),
        ', behind the last ', value(precision.output_error, number(precision.output_error)),
        precision.recipe ? `; recipe: ${precision.recipe}.` : '.') : null,
      precision.policy ? policy(precision.policy) : null,
      studied(run).length > 0 ? errors(run) : null,
      precision.notes?.length > 0 ? element('ul', {class: 'notes'},
        precision.notes.map(note => element('li', {}, note))) : null));
  }
  parts.push(section('operations', 'All operations', operations(run)));
  return {
    title: `${run.workload} on ${run.chip}`,
    facts: [`tessera ${run.tool_version}`, `${run.cores} cores`, `digest ${run.digest}`],
    parts,
  };
}
