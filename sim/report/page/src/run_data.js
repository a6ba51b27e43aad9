// What the charts of a run draw, from the run's JSON alone.
import {causes} from './causes.js';

/** "layer.norm" of "layer[7].norm" and "layer[0,2-5][1].norm". */
export const unnumbered = name => name.replace(/\[[0-9,-]+\]/g, '');

/** The part in front of the first dot, with the dot, where all names share it: "layer.". */
export function sharedPrefix(names) {
  const first = unnumbered(names[0] ?? '').match(/^[^.]+\./)?.[0] ?? '';
  return names.every(name => unnumbered(name).startsWith(first)) ? first : '';
}

/** FLOP per byte of DRAM traffic; none where an operation moves nothing or computes nothing. */
export const intensity = layer =>
  layer.hbm_bytes > 0 && layer.flops > 0 ? layer.flops / layer.hbm_bytes : null;

/**
 * Operations of the same name and precision taken together, in execution order. Their stalls are
 * weighed by cycles: all cores are charged for all cycles of an operation.
 */
export function groups(run) {
  const found = new Map();
  for (const layer of run.layers) {
    const name = unnumbered(layer.name), key = `${name} ${layer.precision}`;
    if (!found.has(key)) {
      found.set(key, {key, name, op: layer.op, precision: layer.precision, times: 0, cycles: 0,
        time_us: 0, flops: 0, hbm_bytes: 0, roofline_us: 0, votes: new Map(),
        stalls: Object.fromEntries(causes.map(c => [c.key, 0]))});
    }
    const group = found.get(key), cycles = layer.cycles * layer.repeat;
    group.times += layer.repeat;
    group.cycles += cycles;
    group.time_us += layer.time_us * layer.repeat;
    group.flops += layer.flops * layer.repeat;
    group.hbm_bytes += layer.hbm_bytes * layer.repeat;
    group.roofline_us += layer.roofline_us * layer.repeat;
    group.votes.set(layer.bound, (group.votes.get(layer.bound) ?? 0) + cycles);
    for (const {key: cause} of causes) group.stalls[cause] += (layer.stalls[cause] ?? 0) * cycles;
  }
  for (const group of found.values()) {
    for (const {key} of causes) if (group.cycles > 0) group.stalls[key] /= group.cycles;
    group.bound = [...group.votes].reduce((a, b) => b[1] > a[1] ? b : a)[0];
    group.share = run.cycles > 0 ? group.cycles / run.cycles : 0;
  }
  return [...found.values()];
}

/** The bins of a section with their times; a last one shorter than half joins the one before. */
export function bins(section) {
  const keys = ['hbm_read_bytes', 'hbm_write_bytes', 'l2_read_bytes', 'l2_hit_bytes',
    'l2_write_bytes', 'tensor_flops'];
  if (section.energy_j) keys.push('energy_j');
  const all = [];
  for (let i = 0; i < section.hbm_read_bytes.length; ++i) {
    const start = i * section.bin_us, end = Math.min(start + section.bin_us, section.time_us);
    const last = all[all.length - 1];
    if (last && end - start < section.bin_us / 2) {
      last.end = Math.max(last.end, end);
      for (const key of keys) last[key] += section[key][i];
    } else {
      all.push({start, end, ...Object.fromEntries(keys.map(key => [key, section[key][i]]))});
    }
  }
  return all;
}

/** 10^9 per second, of a count in a bin. */
export const rate = (bin, key) => bin.end > bin.start ? bin[key] / (bin.end - bin.start) * 1e-3 : 0;

export const studied = run => run.layers.filter(layer => layer.error && layer.error.total);
