// Every answer on two axes: when it came, and how long it took.

const ROWS = 56;

const heatMap = (id, axis, list) => {
  const host = byId(id);
  const filled = list.filter(second => second.response.length);
  if (!filled.length) { host.replaceChildren(el('p', { class: 'none' }, 'No answer came.')); host.style.height = 'auto'; return; }
  const low = Math.min(...filled.map(second => second.response[0][0])) * 0.95;
  const high = Math.max(...filled.map(second => highest(second.response))) * 1.05;
  const rowOf = linear(Math.log(low), Math.log(high), 0, ROWS);
  const columns = list.map(second => {
    const counts = new Float64Array(ROWS);
    for (const [value, n] of second.response) counts[Math.min(ROWS - 1, Math.max(0, Math.floor(rowOf(Math.log(value)))))] += n;
    return counts;
  });
  const most = Math.max(...columns.map(counts => Math.max(...counts)));
  const bound = row => Math.exp(Math.log(low) + row / ROWS * (Math.log(high) - Math.log(low)));
  const draw = () => drawHeat(host, { axis, list, low, high, columns, most, bound });
  draw();
  redraws.push(draw);
};

// Four colours of the theme, mixed; the root of the share, so that the few slow answers can be seen.
const palette = () => {
  const style = getComputedStyle(document.documentElement);
  const parse = name => style.getPropertyValue(name).trim().match(/[0-9a-f]{2}/gi).map(part => parseInt(part, 16));
  const stops = [0, 1, 2, 3].map(n => parse(`--heat-${n}`));
  return share => {
    const at = Math.min(2.999, Math.sqrt(share) * 3), from = Math.floor(at);
    return `rgb(${stops[from].map((part, n) => Math.round(part + (stops[from + 1][n] - part) * (at - from))).join(' ')})`;
  };
};

const drawHeat = (host, heat) => {
  const width = host.clientWidth, height = host.clientHeight, ratio = devicePixelRatio || 1;
  const x = linear(heat.axis.low, heat.axis.high, PAD.left, width - PAD.right);
  const y = logarithmic(heat.low, heat.high, height - PAD.bottom, PAD.top);
  const canvas = el('canvas', { width: Math.round(width * ratio), height: Math.round(height * ratio), 'aria-hidden': 'true' });
  const pen = canvas.getContext('2d');
  pen.scale(ratio, ratio);
  const colour = palette();
  heat.columns.forEach((counts, n) => {
    const second = heat.list[n];
    const left = x(second.start_ms / 1000), right = x((second.start_ms + second.length_ms) / 1000);
    counts.forEach((value, row) => {
      if (!value) return;
      pen.fillStyle = colour(value / heat.most);
      const top = y(heat.bound(row + 1)), bottom = y(heat.bound(row));
      pen.fillRect(left, top, Math.max(1, right - left - (right - left > 6 ? 1 : 0)), Math.max(1, bottom - top - 0.5));
    });
  });
  const root = svg('svg', { viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': 'Heat map of response times over time' });
  for (const at of logTicks(heat.low, heat.high)) root.append(svg('text', { x: PAD.left - 8, y: y(at) + 4, 'text-anchor': 'end' }, time(at)));
  for (const at of heat.axis.ticks(width)) root.append(svg('text', { x: x(at), y: height - 8, 'text-anchor': 'middle' }, heat.axis.show(at)));
  root.append(svg('line', { class: 'axis', x1: PAD.left, x2: width - PAD.right, y1: height - PAD.bottom, y2: height - PAD.bottom }));
  root.append(svg('line', { class: 'axis', x1: PAD.left, x2: PAD.left, y1: PAD.top, y2: height - PAD.bottom }));
  for (const event of data.run.events) drawEvent(root, event, x, height, heat.axis);
  host.replaceChildren(canvas, root);
  root.onpointerleave = hideTip;
  root.onpointermove = event => {
    const box = root.getBoundingClientRect();
    const share = (event.clientX - box.left - PAD.left) / (width - PAD.left - PAD.right);
    const at = (heat.axis.low + share * (heat.axis.high - heat.axis.low)) * 1000;
    const n = heat.list.findIndex(second => at >= second.start_ms && at < second.start_ms + second.length_ms);
    const row = Math.floor((height - PAD.bottom - (event.clientY - box.top)) / (height - PAD.bottom - PAD.top) * ROWS);
    if (n < 0 || row < 0 || row >= ROWS) { hideTip(); return; }
    showTip(event, seconds(heat.list[n].start_ms), [['answers', count(heat.columns[n][row])], ['of', `${time(heat.bound(row))} to ${time(heat.bound(row + 1))}`]]);
  };
};
