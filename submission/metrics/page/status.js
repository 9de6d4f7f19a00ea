// Shows status.json and looks again every ten seconds. All text goes in as text, never as markup.
"use strict";

const PERIOD = 10000;
const SERIES = {
  messages: "Messages accepted",
  refusals: "Refusals",
  failures: "Failed logins",
  relay_seconds: "Relay's reply (s)",
};
const SPANS = { hour: "last hour", day: "last day" };
const WIDTH = 300, HEIGHT = 60;
const LONG = 40; // characters of a cell that is broken into lines

function element(name, text = "", kind = "") {
  const made = document.createElement(name);
  made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

function shape(name, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function moment(seconds) {
  return seconds ? new Date(seconds * 1000).toLocaleString() : "–";
}

function number(value) {
  return Number.isInteger(value) ? String(value) : value.toPrecision(2);
}

function showVerdict(status) {
  const verdict = document.getElementById("verdict");
  const faults = status.health.filter((condition) => condition.fault);
  verdict.textContent = status.is_healthy ? "healthy" : "not healthy: " + faults.map((fault) => fault.name).join(", ");
  verdict.className = status.is_healthy ? "good" : "bad";
  document.title = (status.is_healthy ? "" : "✗ ") + "submission";
  document.getElementById("time").textContent = moment(status.time);
}

function showNow(status) {
  const items = [["sessions", String(status.sessions), true]];
  for (const { name, fault, seconds } of status.health) {
    const good = name === "relay" ? `ok, ${Math.round(seconds * 1000)} ms` : "ok";
    items.push([name, fault || good, !fault]);
  }
  const list = document.querySelector("#now dl");
  list.replaceChildren(...items.map(([name, text, isGood]) => {
    const item = element("div");
    item.append(element("dt", name), element("dd", text, isGood ? "" : "bad"));
    return item;
  }));
}

function chart(series, span, { minutes, [series]: values }) {
  const known = values.filter((value) => value !== null);
  const most = Math.max(0, ...known);
  const total = known.reduce((sum, value) => sum + value, 0);
  const isMean = series === "relay_seconds";
  const summary = isMean ? `at most ${number(most)}` : `${number(total)}`;
  const drawing = shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" });
  drawing.setAttribute("aria-label", `${SERIES[series]}, ${SPANS[span]}: ${summary}`);
  const width = WIDTH / values.length;
  values.forEach((value, place) => {
    if (!value) return;
    const height = Math.max(1, (value / most) * HEIGHT);
    const bar = shape("rect", { x: place * width, y: HEIGHT - height, width: width * 0.8, height, class: series });
    const ago = (values.length - place) * minutes;
    bar.append(shape("title", {}));
    bar.firstChild.textContent = `${number(value)}, ${ago} min ago`;
    drawing.append(bar);
  });
  const caption = element("figcaption");
  caption.append(element("span", `${SERIES[series]}, ${SPANS[span]}`), element("b", summary));
  const figure = element("figure");
  figure.append(caption, drawing);
  return figure;
}

function showCharts(status) {
  const charts = Object.keys(SERIES).flatMap((series) =>
    Object.keys(SPANS).map((span) => chart(series, span, status.charts[span])));
  document.querySelector("#charts .charts").replaceChildren(...charts);
}

function cell(text) {
  return element("td", text, text.length > LONG ? "long" : "");
}

function showTable(id, header, { total, rows }, cells, nothing) {
  const section = document.getElementById(id);
  const parts = [section.querySelector("h2")];
  if (rows.length) {
    const table = element("table"), box = element("div", "", "table");
    const head = table.createTHead().insertRow();
    head.append(...header.map((text) => element("th", text)));
    const body = table.createTBody();
    for (const row of rows) body.insertRow().append(...cells(row).map(cell));
    box.append(table);
    parts.push(box);
  }
  if (total === null) parts.push(element("p", "can't be read now", "bad"));
  else if (!rows.length) parts.push(element("p", nothing, "empty"));
  else if (total > rows.length) parts.push(element("p", `and ${total - rows.length} more`, "empty"));
  section.replaceChildren(...parts);
}

function show(status) {
  showVerdict(status);
  showNow(status);
  showCharts(status);
  showTable("failures", ["address", "failures", "refused until"], status.failures,
    (row) => [row.address, row.failures.toFixed(0), moment(row.refused_until > status.time && row.refused_until)], "none");
  showTable("grants", ["address", "user", "server", "until"], status.grants,
    (row) => [row.address, row.user, row.server, moment(row.until)], "no grants");
  showTable("limits", ["who", "limit", "used"], status.limits,
    (row) => [row.who, row.limit, `${row.used} of ${row.most}`], "nobody");
  showTable("certificates", ["file", "names", "days left"],
    { total: status.certificates.length, rows: status.certificates },
    (row) => [row.file, row.names.join(", "), String(row.days)], "no certificates");
  document.querySelector("main").hidden = false;
}

async function look() {
  try {
    const response = await fetch("status.json", { signal: AbortSignal.timeout(PERIOD) });
    if (!response.ok) throw new Error(`the service answers ${response.status}`);
    show(await response.json());
  } catch (error) {
    const verdict = document.getElementById("verdict");
    verdict.textContent = `no news: ${error.message}`;
    verdict.className = "bad";
  }
  setTimeout(look, PERIOD);
}

look();
