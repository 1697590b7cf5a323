// The page, from top to bottom.

const data = JSON.parse(byId('run').textContent);

const theme = () => {
  const root = document.documentElement, dark = matchMedia('(prefers-color-scheme: dark)');
  const set = on => { root.dataset.theme = on ? 'dark' : 'light'; redraws.forEach(draw => draw()); };
  set(location.hash === '#dark' || (location.hash !== '#light' && dark.matches));
  dark.onchange = () => set(dark.matches);
  byId('theme').onclick = () => set(root.dataset.theme !== 'dark');
};

const heading = () => {
  const { run } = data, s = run.settings;
  byId('title').textContent = s.name || `${s.method} ${s.targets.map(t => t.url).join(', ')}`.trim();
  const load = run.mode === 'open' ? `Open loop · ${s.plan} · ${s.arrivals} arrivals` : 'Closed loop';
  const when = run.started_unix_ms ? ` · ${new Date(run.started_unix_ms).toISOString().slice(0, 16).replace('T', ' ')} UTC` : '';
  byId('subtitle').textContent = `${load} · ${s.connections} connections · ${seconds(run.elapsed_ms)}${when}`;
  byId('gap').textContent = data.gap;
  byId('footer').textContent = `Written by ${run.program}. This page holds all of its data and asks no network for anything.`;
  if (data.doubts.length) {
    const host = byId('doubts');
    host.hidden = false;
    host.append(...data.doubts.map(line => el('p', {}, line)));
  }
};

// Rarer by ten with each unit: 50 % stands at 0.3, 90 % at 1, 99 % at 2.
const nines = q => -Math.log10(1 - q);
const curveOf = pairs => {
  const all = total(pairs), points = [];
  let seen = 0;
  for (const [value, n] of pairs) {
    if (!points.length) points.push([0, value]);
    seen += n;
    points.push([seen < all ? nines(seen / all) : nines(1 - 0.5 / all), value]);
  }
  return points;
};

const curve = () => {
  const { run } = data, all = total(run.response);
  const high = Math.max(1, nines(1 - 0.5 / Math.max(all, 2)));
  const marks = [0, .5, .9, .99, .999, .9999, .99999, .999999, .9999999].filter(q => nines(q) <= high);
  const show = at => { const q = 1 - 10 ** -at; return `${(q * 100).toFixed(Math.max(0, Math.round(at) - 2))} %`; };
  const exact = at => { const q = (1 - 10 ** -at) * 100; return `${q.toFixed(Math.max(1, Math.ceil(at) - 1))} %`; };
  chart('curve', {
    label: 'Latency by percentile', log: true, show: time, x: { low: 0, high, ticks: width => marks.filter(q => q !== .5 || width > 700).map(nines), show },
    title: at => `${exact(at)} of the answers`, none: 'No answer came.',
    series: [{ name: 'response time', kind: 'one', points: curveOf(run.response), area: true }]
      .concat(run.mode === 'open' ? [{ name: 'service time', kind: 'two', points: curveOf(run.service), dashed: true }] : []),
  });
};

const overTime = axis => {
  const { run } = data, list = run.seconds;
  const middle = second => (second.start_ms + second.length_ms / 2) / 1000;
  const of = value => list.filter(second => second.response.length).map(second => [middle(second), value(second)]);
  const perSecond = key => list.filter(second => second.length_ms).map(second => [middle(second), second[key] * 1000 / second.length_ms]);
  const common = { x: axis, time: true, events: run.events, title: at => `${at.toFixed(1)} s` };
  chart('latency', {
    ...common, label: 'Latency over time', log: true, show: time, none: 'No answer came.',
    series: [['p50', 'two', .5], ['p90', 'one', .9], ['p99', 'three', .99]]
      .map(([name, kind, q]) => ({ name, kind, points: of(second => quantile(second.response, q)) }))
      .concat([{ name: 'max', kind: 'four', points: of(second => highest(second.response)), dashed: true }]),
  });
  heatMap('heat', axis, list);
  const failed = perSecond('errors');
  chart('load', {
    ...common, label: 'Requests a second', show: v => `${rate(v)} /s`,
    series: [{ name: 'answered', kind: 'one', points: perSecond('completed'), area: true }]
      .concat(run.mode === 'open' ? [{ name: 'asked for', kind: 'four', points: plan(list, perSecond), dashed: true }] : [])
      .concat(failed.some(point => point[1]) ? [{ name: 'errors', kind: 'bad', points: failed, area: true }] : []),
  });
  chart('own', {
    ...common, label: 'Client CPU and requests under way', show: v => count(v),
    series: [{ name: 'requests under way', kind: 'two', points: list.map(second => [middle(second), second.in_flight]) },
      { name: 'client CPU, % of a core', kind: 'three', points: list.map(second => [middle(second), second.cpu_percent]) }],
  });
};

// The plan's corners where they are known, else what came due in each second.
const plan = (list, perSecond) => {
  const corners = data.run.settings.plan_points.map(point => [point.at_ms / 1000, point.rate]);
  return corners.length > 1 ? corners : perSecond('scheduled');
};

const steps = () => {
  const found = data.run.find_max;
  if (!found || !found.steps.length) return;
  const sorted = [...found.steps].sort((a, b) => a.rate - b.rate);
  const high = sorted[sorted.length - 1].rate * 1.05;
  chart('steps', {
    label: 'p99 by rate', log: true, show: time, x: { low: 0, high, ticks: () => ticks(0, high, 8), show: rate },
    title: at => `${rate(at)} /s asked`,
    series: [{ name: 'p99', kind: 'four', dots: true, kinds: sorted.map(step => step.passed ? 'good' : 'bad'), points: sorted.map(step => [step.rate, step.p99_ns]) }],
  });
};

const timeAxis = () => {
  const last = data.run.seconds[data.run.seconds.length - 1];
  const high = last ? (last.start_ms + last.length_ms) / 1000 : 1;
  return { low: 0, high, ticks: width => ticks(0, high, Math.max(3, Math.min(12, width / 90))), show: at => `${+at.toFixed(2)} s` };
};

theme();
heading();
tiles();
search();
curve();
overTime(timeAxis());
percentiles();
answers();
steps();
errors();
nodes();
client();
promises();
events();
settings();

let pending = 0;
addEventListener('resize', () => { cancelAnimationFrame(pending); pending = requestAnimationFrame(() => redraws.forEach(draw => draw())); });
