// Lines over a common axis, with a crosshair that all charts of the time axis share.

const tip = byId('tip');
const showTip = (event, title, rows) => {
  tip.replaceChildren(el('b', {}, title), ...rows.map(([name, value]) => el('div', {}, el('span', {}, name), el('span', {}, value))));
  const { width, height } = tip.getBoundingClientRect();
  const left = event.clientX + 16 + width > innerWidth ? event.clientX - width - 16 : event.clientX + 16;
  tip.style.transform = `translate(${Math.max(4, left)}px, ${Math.max(4, Math.min(event.clientY + 12, innerHeight - height - 4))}px)`;
  tip.style.visibility = 'visible';
};
const hideTip = () => { tip.style.visibility = 'hidden'; };

// Round values between low and high, about `wanted` of them.
const ticks = (low, high, wanted) => {
  const raw = (high - low) / wanted;
  const power = 10 ** Math.floor(Math.log10(raw || 1));
  const step = [1, 2, 5, 10].map(n => n * power).find(n => n >= raw) || raw;
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step * 1e-6; at += step) found.push(at);
  return found;
};
const logTicks = (low, high) => {
  const found = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1) {
    for (const n of high / low > 2000 ? [1] : [1, 2, 5]) {
      const at = n * 10 ** power;
      if (at >= low * 0.999 && at <= high * 1.001) found.push(at);
    }
  }
  return found;
};

const PAD = { left: 62, right: 14, top: 14, bottom: 26 };
const linear = (low, high, from, to) => v => from + (v - low) / ((high - low) || 1) * (to - from);
const logarithmic = (low, high, from, to) => {
  const scale = linear(Math.log10(low), Math.log10(high), from, to);
  return v => scale(Math.log10(Math.max(v, low)));
};

const redraws = [];
const timeCharts = [];

// options: series [{name, kind, points [[x, y]], dashed, area, steps}], x {low, high, ticks, show}, show (y), zero,
// log (whether it may be switched), events, time (shares the crosshair), title(x)
const chart = (id, options) => {
  const host = byId(id);
  const series = options.series.filter(line => line.points.length);
  const values = series.flatMap(line => line.points.map(point => point[1])).filter(v => v > 0);
  if (!values.length) { host.replaceChildren(el('p', { class: 'none' }, options.none || 'Nothing to draw.')); host.style.height = 'auto'; return; }
  const legend = el('div', { class: 'legend' }, ...series.map(line => el('span', { class: `k-${line.kind}` }, el('i'), line.name)));
  host.before(legend);
  let log = options.log && Math.max(...values) / Math.min(...values) > 30;
  const draw = () => drawChart(host, options, series, values, log);
  if (options.log) legend.append(scaleSwitch(log, on => { log = on; draw(); }));
  draw();
  redraws.push(draw);
};

const scaleSwitch = (log, change) => {
  const buttons = [['linear', false], ['log', true]].map(([name, on]) => {
    const button = el('button', { type: 'button', 'aria-pressed': String(on === log) }, name);
    button.onclick = () => {
      buttons.forEach(other => other.setAttribute('aria-pressed', String(other === button)));
      change(on);
    };
    return button;
  });
  return el('span', { class: 'switch', role: 'group', 'aria-label': 'Scale' }, ...buttons);
};

const drawChart = (host, options, series, values, log) => {
  const width = host.clientWidth, height = host.clientHeight;
  const top = Math.max(...values);
  const low = log ? Math.min(...values) * 0.9 : options.floor || 0;
  const high = log ? top * 1.1 : top * 1.08;
  const x = linear(options.x.low, options.x.high, PAD.left, width - PAD.right);
  const y = (log ? logarithmic : linear)(low, high, height - PAD.bottom, PAD.top);
  const root = svg('svg', { viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': options.label });
  for (const at of log ? logTicks(low, high) : ticks(low, high, 5)) {
    root.append(svg('line', { class: 'grid', x1: PAD.left, x2: width - PAD.right, y1: y(at), y2: y(at) }));
    root.append(svg('text', { x: PAD.left - 8, y: y(at) + 4, 'text-anchor': 'end' }, options.show(at)));
  }
  for (const at of options.x.ticks(width)) {
    root.append(svg('line', { class: 'grid', x1: x(at), x2: x(at), y1: PAD.top, y2: height - PAD.bottom }));
    root.append(svg('text', { x: x(at), y: height - 8, 'text-anchor': 'middle' }, options.x.show(at)));
  }
  root.append(svg('line', { class: 'axis', x1: PAD.left, x2: width - PAD.right, y1: height - PAD.bottom, y2: height - PAD.bottom }));
  for (const line of series) drawLine(root, line, x, y, height - PAD.bottom);
  for (const event of options.events || []) drawEvent(root, event, x, height, options.x);
  host.replaceChildren(root);
  watch(host, root, options, series, x, y, width, height);
};

const drawLine = (root, line, x, y, floor) => {
  const at = line.points.map(([a, b]) => [x(a), Math.min(floor, y(b))]);
  let path = `M${at[0][0].toFixed(1)} ${at[0][1].toFixed(1)}`;
  for (let n = 1; n < at.length; n += 1) path += `${line.steps ? `H${at[n][0].toFixed(1)}V` : `L${at[n][0].toFixed(1)} `}${at[n][1].toFixed(1)}`;
  if (line.area) root.append(svg('path', { class: `area c-${line.kind}`, d: `${path}L${at[at.length - 1][0]} ${floor}L${at[0][0]} ${floor}Z` }));
  if (at.length === 1 || line.dots) at.forEach(([a, b], n) => root.append(svg('circle', { class: `dot c-${line.kinds ? line.kinds[n] : line.kind}`, cx: a, cy: b, r: 5 })));
  if (at.length > 1) root.append(svg('path', { class: `series c-${line.kind}${line.dashed ? ' dashed' : ''}`, style: 'fill:none', d: path }));
};

const drawEvent = (root, event, x, height, axis) => {
  const at = event.at_ms / 1000;
  if (at < axis.low || at > axis.high) return;
  root.append(svg('line', { class: 'event', x1: x(at), x2: x(at), y1: PAD.top - 4, y2: height - PAD.bottom }));
  root.append(svg('path', { class: 'event-mark', d: `M${x(at) - 5} ${PAD.top - 11}h10l-5 8z` }));
};

const nearest = (points, at) => points.reduce((best, point) => Math.abs(point[0] - at) < Math.abs(best[0] - at) ? point : best, points[0]);

const watch = (host, root, options, series, x, y, width, height) => {
  const cross = svg('g', { visibility: 'hidden' });
  root.append(cross);
  const place = at => {
    const found = series.map(line => nearest(line.points, at));
    const middle = x(found[0][0]);
    cross.replaceChildren(
      svg('line', { class: 'cross', x1: middle, x2: middle, y1: PAD.top, y2: height - PAD.bottom }),
      ...found.map((point, n) => svg('circle', { class: `dot c-${series[n].kind}`, cx: x(point[0]), cy: Math.min(height - PAD.bottom, y(point[1])), r: 4.5 })),
    );
    cross.setAttribute('visibility', 'visible');
    return found;
  };
  const own = { host, place, hide: () => cross.setAttribute('visibility', 'hidden') };
  if (options.time) {
    const known = timeCharts.findIndex(other => other.host === host);
    if (known >= 0) timeCharts.splice(known, 1, own); else timeCharts.push(own);
  }
  root.onpointermove = event => {
    const box = root.getBoundingClientRect();
    const at = options.x.low + (event.clientX - box.left - PAD.left) / (width - PAD.left - PAD.right) * (options.x.high - options.x.low);
    const found = place(at);
    if (options.time) timeCharts.forEach(other => other !== own && other.place(at));
    const rows = series.map((line, n) => [line.name, (line.show || options.show)(found[n][1])]);
    const near = (options.events || []).filter(e => Math.abs(x(e.at_ms / 1000) - x(at)) < 8).map(e => [e.kind, e.text]);
    showTip(event, options.title(found[0][0], found), rows.concat(near));
  };
  root.onpointerleave = () => { hideTip(); own.hide(); if (options.time) timeCharts.forEach(other => other.hide()); };
};
