(async function () {
  "use strict";
  if (!window.DecompressionStream) {
    document.getElementById("title").textContent = "This page needs a browser of 2023 or newer.";
    return;
  }
  const packed = Uint8Array.from(atob(document.getElementById("report").textContent), (one) => one.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const report = JSON.parse(await new Response(stream).text());
  const at = (id) => document.getElementById(id);
  const made = (tag, text, name) => {
    const element = document.createElement(tag);
    if (text !== undefined && text !== null) element.textContent = text;
    if (name) element.className = name;
    return element;
  };
  let view = null, chosen = "", drawn = [], drawing = 0;

  // Columns as they travel -> rows as the library wants them.
  function rows(columns) {
    const names = Object.keys(columns);
    const values = names.map((name) => {
      const column = columns[name];
      return Array.isArray(column) ? column : column.at.map((code) => column.of[code]);
    });
    const size = names.length ? values[0].length : 0;
    const found = new Array(size);
    for (let i = 0; i < size; i++) {
      const row = {};
      for (let k = 0; k < names.length; k++) row[names[k]] = values[k][i];
      found[i] = row;
    }
    return found;
  }

  // One scale for both axes of a map, whatever the window's shape.
  function fitted(spec, extent, width) {
    const [x0, x1] = extent.x, [y0, y1] = extent.y;
    const wide = Math.max(x1 - x0, 1e-9), high = Math.max(y1 - y0, 1e-9);
    const height = Math.min(Math.max(width * high / wide, report.heights[0]), report.heights[1]);
    const perPixel = report.air * Math.max(wide / width, high / height);
    const spans = {
      x: [(x0 + x1 - perPixel * width) / 2, (x0 + x1 + perPixel * width) / 2],
      y: [(y0 + y1 - perPixel * height) / 2, (y0 + y1 + perPixel * height) / 2],
    };
    for (const layer of spec.layer) {
      for (const channel of ["x", "y"]) {
        const encoding = layer.encoding[channel];
        if (encoding) encoding.scale = Object.assign({}, encoding.scale, { domain: spans[channel] });
      }
    }
    spec.width = width;
    spec.height = height;
  }

  // Names of the data sets that a figure draws.
  function named(spec, found) {
    if (spec && typeof spec === "object") {
      if (spec.data && spec.data.name) found.add(spec.data.name);
      Object.values(spec).forEach((part) => named(part, found));
    }
    return found;
  }

  async function draw() {
    const turn = ++drawing;
    drawn.forEach((one) => one.finalize());
    drawn = [];
    const list = at("figures");
    list.textContent = "";
    const data = {};
    for (const name of Object.keys(view.data)) data[name] = rows(view.data[name]);
    for (const figure of view.figures) {
      const box = made("figure", null, figure.shape);
      box.id = "figure-" + figure.name;
      box.append(made("h2", figure.title), made("figcaption", figure.caption));
      const place = made("div", null, "drawing");
      place.setAttribute("role", "img");
      place.setAttribute("aria-label", figure.title + ". " + figure.caption);
      box.append(place);
      list.append(box);
    }
    for (const figure of view.figures) {
      const place = document.querySelector("#figure-" + figure.name + " .drawing");
      const spec = JSON.parse(JSON.stringify(figure.spec));
      spec.params = (spec.params || []).concat([{ name: "chosen", value: chosen }]);
      spec.config = report.config;
      // The library hangs its own fields on rows: each figure gets fresh ones.
      spec.datasets = {};
      for (const name of named(figure.spec, new Set())) spec.datasets[name] = data[name].map((row) => Object.assign({}, row));
      if (figure.extent) {
        fitted(spec, figure.extent, Math.max(place.clientWidth - 30, 240));
      } else {
        spec.width = place.clientWidth;
        spec.autosize = { type: "fit-x", contains: "padding" };
      }
      if (place.clientWidth < 520) spec.config = Object.assign({}, spec.config, { legend: Object.assign({}, spec.config.legend, { columns: 1 }) });
      const result = await window.vegaEmbed(place, spec, { actions: false, ast: true, renderer: "canvas", mode: "vega-lite" });
      if (turn !== drawing) { result.finalize(); return; }
      drawn.push(result);
      result.view.addEventListener("click", (event, item) => {
        if (item && item.datum && item.datum.choice && view.choices.some((one) => one.id === item.datum.choice)) choose(item.datum.choice);
      });
    }
    document.body.dataset.drawn = String(drawn.length);
  }

  function facts(list, pairs) {
    list.textContent = "";
    for (const [what, value] of pairs) {
      const pair = made("div");
      pair.append(made("dt", what), made("dd", value));
      list.append(pair);
    }
  }

  function choose(id) {
    chosen = id;
    const choice = view.choices.find((one) => one.id === id);
    at("choice").value = id;
    facts(at("chosen"), choice ? choice.facts : []);
    for (const one of drawn) one.view.signal("chosen", id).runAsync();
    for (const row of document.querySelectorAll("#table tbody tr")) row.classList.toggle("is-chosen", row.dataset.choice === id);
  }

  function shown(cell) {
    if (cell === null) return "";
    return typeof cell === "number" ? String(cell) : cell;
  }

  function table() {
    const head = document.querySelector("#table thead"), body = document.querySelector("#table tbody");
    const numeric = view.head.map((name, i) => view.rows.some((row) => typeof row[i] === "number"));
    let order = view.rows.map((row, i) => i), sorted = -1, down = false;
    const fill = () => {
      body.textContent = "";
      for (const i of order) {
        const line = made("tr");
        line.dataset.choice = view.row_choices[i];
        line.classList.toggle("is-chosen", view.row_choices[i] === chosen);
        view.rows[i].forEach((cell, k) => line.append(made("td", shown(cell), numeric[k] ? "number" : shown(cell).length < 20 ? "short" : "")));
        line.addEventListener("click", () => choose(view.row_choices[i]));
        body.append(line);
      }
    };
    head.textContent = "";
    const line = made("tr");
    view.head.forEach((name, k) => {
      const cell = made("th", null, numeric[k] ? "number" : ""), button = made("button", name);
      button.title = "Sort by " + name;
      button.addEventListener("click", () => {
        down = sorted === k ? !down : false;
        sorted = k;
        order = view.rows.map((row, i) => i).sort((a, b) => {
          const x = view.rows[a][k], y = view.rows[b][k];
          const way = x === y ? 0 : x === null ? 1 : y === null ? -1 : x < y ? -1 : 1;
          return (down ? -way : way) || a - b;
        });
        fill();
      });
      cell.append(button);
      line.append(cell);
    });
    head.append(line);
    fill();
  }

  function show(index, wanted) {
    view = report.views[index];
    const first = view.choices.length ? view.choices[0].id : "";
    chosen = view.choices.some((one) => one.id === wanted) ? wanted : first;
    const numbers = at("facts");
    numbers.textContent = "";
    for (const [number, what] of view.facts) {
      const item = made("li");
      item.append(made("strong", number), made("span", what));
      numbers.append(item);
    }
    at("choosing").textContent = view.choosing;
    const list = at("choice");
    list.textContent = "";
    for (const choice of view.choices) {
      const option = made("option", choice.label);
      option.value = choice.id;
      list.append(option);
    }
    at("choice-label").hidden = view.choices.length === 0;
    at("notes").textContent = "";
    for (const note of view.notes) at("notes").append(made("li", note));
    at("table-title").textContent = view.choosing + " by " + view.choosing.toLowerCase();
    const found = at("findings");
    found.textContent = "";
    for (const [severity, code, message, element] of view.findings) {
      const item = made("li", null, severity);
      item.append(made("b", severity), " ", made("code", code), " ", message, element ? " [" + element + "]" : "");
      found.append(item);
    }
    if (!view.findings.length) found.append(made("li", "None."));
    table();
    choose(chosen);
    draw();
  }

  at("title").textContent = report.title;
  at("subtitle").textContent = report.subtitle;
  at("limits").append(made("b", "Limits: "), report.limits);
  for (const [what, value] of report.facts) at("run").append(made("dt", what), made("dd", value));
  report.views.forEach((one, index) => {
    const option = made("option", one.label);
    option.value = index;
    at("view").append(option);
  });
  at("view-label").hidden = report.views.length === 1;
  at("view").addEventListener("change", (event) => show(Number(event.target.value)));
  at("choice").addEventListener("change", (event) => choose(event.target.value));
  let waiting = null, width = window.innerWidth;
  window.addEventListener("resize", () => {
    if (window.innerWidth === width) return;
    width = window.innerWidth;
    clearTimeout(waiting);
    waiting = setTimeout(draw, 200);
  });
  // report.html#t3_thin_cable begins with that transformer.
  show(0, decodeURIComponent(window.location.hash.slice(1)));
})();
