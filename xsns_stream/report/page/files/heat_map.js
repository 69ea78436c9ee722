// Heat map: a matrix as an image that can be zoomed, with labels where there is room.

async function startHeatMap() {
  const canvas = byId("heat");
  const [tip, status] = [byId("heat-tip"), byId("heat-status")];
  const context = canvas.getContext("2d");
  const image = document.createElement("canvas");
  const MARGIN = { left: 170, top: 128, right: 6, bottom: 6 };
  const STRIP = 9;
  const view = { matrix: null, rows: [], columns: [], cursor: null, hover: null, extent: [0, 1], width: 0, height: 0 };
  let transform = d3.zoomIdentity;

  const select = d3.select("#matrix");
  const kinds = [["coefficient", "Coefficients"], ["layer", "Layers"], ["module", "Kinds of modules"]];
  for (const [kind, title] of kinds) {
    const own = data.matrices.filter((matrix) => matrix.kind === kind);
    if (own.length) {
      select.append("optgroup").attr("label", title).selectAll("option").data(own).join("option")
        .attr("value", (matrix) => matrix.key).text((matrix) => matrix.title);
    }
  }

  // ------------------------------------------------------------------------------------- order and colours

  function ordered(side) {
    const { matrix } = view;
    const own = side === 0 ? matrix.rows : matrix.columns;
    const clustered = matrix.order[side];
    const rank = new Map(clustered.map((position, i) => [position, i]));
    const positions = d3.range(own.length);
    const language = (position) => languages[own[position]];
    const order = byId("order").value;
    if (order === "name") return positions.sort((a, b) => d3.ascending(language(a).name, language(b).name));
    if (order === "family") {
      const size = d3.rollup(positions, (group) => group.length, (position) => language(position).family);
      return positions.sort((a, b) => {
        const [one, other] = [language(a).family, language(b).family];
        return (one === "") - (other === "") || size.get(other) - size.get(one) || d3.ascending(one, other) || rank.get(a) - rank.get(b);
      });
    }
    if (order === "target" && state.target !== null) {
      const near = (position) => {
        if (own[position] === state.target) return Infinity;
        const at = side === 0 ? matrix.at(own[position], state.target) : matrix.at(state.target, own[position]);
        const other = side === 0 ? matrix.at(state.target, own[position]) : matrix.at(own[position], state.target);
        const value = at >= 0 ? matrix.values[at] : other >= 0 ? matrix.values[other] : NaN;
        return finite(value) ? value : -Infinity;
      };
      return positions.sort((a, b) => d3.descending(near(a), near(b)) || rank.get(a) - rank.get(b));
    }
    return [...clustered];
  }

  function setExtent() {
    const { matrix } = view;
    const known = [];
    for (let i = 0; i < matrix.S; i += 1) {
      for (let j = 0; j < matrix.T; j += 1) {
        const value = matrix.values[i * matrix.T + j];
        if (matrix.rows[i] !== matrix.columns[j] && finite(value)) known.push(value);
      }
    }
    known.sort(d3.ascending);
    // A few extreme pairs of a large matrix would reduce the contrast of the others.
    const trim = Math.max(matrix.S, matrix.T) >= 20 ? 0.005 : 0;
    view.extent = known.length ? [d3.quantileSorted(known, trim), d3.quantileSorted(known, 1 - trim)] : [0, 1];
    view.decimals = decimalsOf(...view.extent);
  }

  function paint() {
    const { matrix, rows, columns, extent: [low, high] } = view;
    image.width = columns.length;
    image.height = rows.length;
    const colours = d3.range(256).map((i) => d3.rgb(scaleColour(i / 255)));
    const [undefinedColour, ownColour] = [d3.rgb(variable("--undefined")), d3.rgb(variable("--own"))];
    const pixels = new ImageData(image.width, image.height);
    const span = high - low || 1;
    rows.forEach((row, i) => columns.forEach((column, j) => {
      const value = matrix.values[row * matrix.T + column];
      const own = matrix.rows[row] === matrix.columns[column];
      const t = Math.max(0, Math.min(255, Math.round(255 * (value - low) / span)));
      const { r, g, b } = own ? ownColour : finite(value) ? colours[t] : undefinedColour;
      pixels.data.set([r, g, b, 255], 4 * (i * image.width + j));
    }));
    image.getContext("2d").putImageData(pixels, 0, 0);
  }

  // ------------------------------------------------------------------------------------- drawing

  const base = () => Math.min((view.width - MARGIN.left - MARGIN.right) / view.columns.length,
    (view.height - MARGIN.top - MARGIN.bottom) / view.rows.length);
  const cell = () => base() * transform.k;
  // Distance of the first cell from the corner of the grid, in pixels; not positive.
  const ox = () => transform.applyX(MARGIN.left) - MARGIN.left;
  const oy = () => transform.applyY(MARGIN.top) - MARGIN.top;

  function draw() {
    if (!view.matrix) return;
    const ratio = window.devicePixelRatio || 1;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, view.width, view.height);
    const [width, height] = [gridWidth(), gridHeight()];
    context.save();
    context.beginPath();
    context.rect(MARGIN.left, MARGIN.top, width, height);
    context.clip();
    context.imageSmoothingEnabled = cell() < 1;
    context.drawImage(image, MARGIN.left + ox(), MARGIN.top + oy(), view.columns.length * cell(), view.rows.length * cell());
    drawCursor();
    context.restore();
    drawNumbers(width, height);
    drawLabels(0, height);
    drawLabels(1, width);
  }

  const gridWidth = () => Math.min(view.width - MARGIN.left - MARGIN.right, view.columns.length * base());
  const gridHeight = () => Math.min(view.height - MARGIN.top - MARGIN.bottom, view.rows.length * base());

  function drawCursor() {
    for (const [place, colour] of [[view.hover, variable("--quiet")], [view.cursor, variable("--mark")]]) {
      if (place) {
        context.strokeStyle = colour;
        context.lineWidth = 2;
        context.strokeRect(MARGIN.left + ox() + place[1] * cell(), MARGIN.top + oy() + place[0] * cell(), Math.max(3, cell()), Math.max(3, cell()));
      }
    }
  }

  // Writes the numbers into the cells if there is room.
  function drawNumbers(width, height) {
    const size = cell();
    const text = (value) => shown(value, Math.min(view.decimals, 3, view.matrix.decimals)).replace(/^0\./, ".");
    if (size < 34) return;
    const { matrix, rows, columns, extent: [low, high] } = view;
    context.save();
    context.beginPath();
    context.rect(MARGIN.left, MARGIN.top, width, height);
    context.clip();
    context.font = "11px system-ui, sans-serif";
    context.textAlign = "center";
    context.textBaseline = "middle";
    for (let i = Math.max(0, Math.floor(-oy() / size)); i < rows.length && i * size + oy() < height; i += 1) {
      for (let j = Math.max(0, Math.floor(-ox() / size)); j < columns.length && j * size + ox() < width; j += 1) {
        const value = matrix.values[rows[i] * matrix.T + columns[j]];
        if (matrix.rows[rows[i]] !== matrix.columns[columns[j]] && finite(value)) {
          const t = Math.max(0, Math.min(1, (value - low) / (high - low || 1)));
          context.fillStyle = d3.lab(scaleColour(t)).l > 55 ? "#111" : "#fff";
          context.fillText(text(value), MARGIN.left + ox() + (j + 0.5) * size, MARGIN.top + oy() + (i + 0.5) * size);
        }
      }
    }
    context.restore();
  }

  function cutTo(text, room) {
    if (context.measureText(text).width <= room) return text;
    let short = text;
    while (short.length > 2 && context.measureText(`${short}…`).width > room) short = short.slice(0, -1);
    return `${short}…`;
  }

  // Draws the labels and the family strip of one side; every n-th label if there is no room for all.
  function drawLabels(side, length) {
    const size = cell();
    const [positions, own] = side === 0 ? [view.rows, view.matrix.rows] : [view.columns, view.matrix.columns];
    const offset = side === 0 ? oy() : ox();
    const every = Math.max(1, Math.ceil(13 / size));
    const first = Math.max(0, Math.ceil(-offset / size - 0.5));
    const last = Math.min(positions.length - 1, Math.floor((length - offset) / size - 0.5));
    const marked = new Set([view.hover, view.cursor].filter(Boolean).map((place) => place[side]));
    context.save();
    context.translate(MARGIN.left, MARGIN.top);
    if (side === 1) context.rotate(-Math.PI / 2);
    context.textBaseline = "middle";
    context.textAlign = side === 0 ? "right" : "left";
    for (let i = Math.max(0, Math.floor(-offset / size)); i < positions.length && i * size + offset < length; i += 1) {
      const language = languages[own[positions[i]]];
      const place = families.place.get(language.family);
      context.fillStyle = place < 7 ? families.colour(language.family) : variable("--line");
      const [start, end] = [Math.max(0, i * size + offset), Math.min(length, (i + 1) * size + offset)];
      if (side === 0) context.fillRect(-STRIP - 2, start, STRIP, end - start);
      else context.fillRect(2, start, STRIP, end - start);
    }
    for (let i = first; i <= last; i += 1) {
      const strong = marked.has(i);
      const near = [...marked].some((position) => position !== i && Math.abs(position - i) * size < 13);
      if (strong || (i % every === 0 && !near)) {
        const language = languages[own[positions[i]]];
        context.font = `${strong ? "bold " : ""}12px system-ui, "Noto Sans", sans-serif`;
        context.fillStyle = strong ? variable("--mark") : variable("--ink");
        const room = (side === 0 ? MARGIN.left : MARGIN.top) - STRIP - 8;
        const code = language.name === language.code ? "" : ` ${language.code}`;
        const text = cutTo(language.name, room - context.measureText(code).width) + code;
        const middle = (i + 0.5) * size + offset;
        if (side === 0) context.fillText(text, -STRIP - 6, middle);
        else context.fillText(text, STRIP + 6, middle);
      }
    }
    context.restore();
    view.every = every;
  }

  function legend() {
    const [low, high] = view.extent;
    const node = d3.select("#heat-legend");
    node.selectAll("*").remove();
    node.append("span").text(view.matrix.title);
    node.append("span").text(`≤ ${shown(low, view.decimals)}`);
    const bar = node.append("canvas").attr("width", 180).attr("height", 12).attr("aria-hidden", "true").node().getContext("2d");
    d3.range(180).forEach((i) => { bar.fillStyle = scaleColour(i / 179); bar.fillRect(i, 0, 1, 12); });
    node.append("span").text(`≥ ${shown(high, view.decimals)}`);
    const present = families.names.slice(0, 7);
    const entry = node.append("span").text(present.length ? "Strip beside the labels, families:" : "");
    if (!present.length) entry.remove();
    const list = node.append("ul").attr("class", "legend").selectAll("li").data(present).join("li");
    list.append("svg").attr("width", 11).attr("height", 11).attr("aria-hidden", "true").append("rect").attr("width", 11).attr("height", 11).style("fill", families.colour);
    list.append("span").text((name) => name);
  }

  // ------------------------------------------------------------------------------------- reading

  function describe([i, j]) {
    const { matrix } = view;
    const at = view.rows[i] * matrix.T + view.columns[j];
    const [source, target] = [languages[matrix.rows[view.rows[i]]], languages[matrix.columns[view.columns[j]]]];
    const heading = matrix.symmetric || source === target ? `${source.label}\n${target.label}` : `source ${source.label}\ntarget ${target.label}`;
    const decimals = Math.min(view.decimals + 1, matrix.decimals);
    const ends = Math.min(decimals, matrix.endDecimals);
    const value = source === target ? "the same language" : `${matrix.title}: ${shown(matrix.values[at], decimals)}`;
    const interval = matrix.low && finite(matrix.low[at]) && source !== target
      ? `\n95 % interval: ${shown(matrix.low[at], ends)} to ${shown(matrix.high[at], ends)}` : "";
    const family = source.family || target.family ? `\n${[...new Set([source.family || "family unknown", target.family || "family unknown"])].join(" · ")}` : "";
    return `${heading}\n${value}${interval}${family}`;
  }

  function cellAt(x, y) {
    if (x < MARGIN.left || y < MARGIN.top || x > MARGIN.left + gridWidth() || y > MARGIN.top + gridHeight()) return null;
    const j = Math.floor((x - MARGIN.left - ox()) / cell());
    const i = Math.floor((y - MARGIN.top - oy()) / cell());
    return i >= 0 && j >= 0 && i < view.rows.length && j < view.columns.length ? [i, j] : null;
  }

  // ------------------------------------------------------------------------------------- zoom and keys

  const zoom = d3.zoom().on("zoom", (event) => {
    transform = event.transform;
    view.hover = null;
    tip.hidden = true;
    canvas.dataset.zoom = transform.k.toFixed(2);
    draw();
    const labels = view.every > 1 ? `Every ${view.every}${["th", "st", "nd", "rd"][view.every % 10 < 4 && ![11, 12, 13].includes(view.every % 100) ? view.every % 10 : 0]} language has a label; zoom in for more.` : "";
    if (!view.cursor) status.textContent = labels;
  });
  const selection = d3.select(canvas).call(zoom).on("dblclick.zoom", null);
  const centreOf = ([i, j]) => [MARGIN.left + (j + 0.5) * cell() + ox(), MARGIN.top + (i + 0.5) * cell() + oy()];
  const middle = () => [MARGIN.left + gridWidth() / 2, MARGIN.top + gridHeight() / 2];
  const zoomBy = (factor) => selection.call(zoom.scaleBy, factor, view.cursor ? centreOf(view.cursor) : middle());

  function setLimits() {
    const [width, height] = [gridWidth(), gridHeight()];
    const box = [[MARGIN.left, MARGIN.top], [MARGIN.left + width, MARGIN.top + height]];
    zoom.extent(box).translateExtent(box)
      .scaleExtent([1, Math.max(3, 44 / base())]);
  }
  // The wheel scrolls the page until the reader has chosen the heat map.
  zoom.filter((event) => !event.button && (event.type !== "wheel" || event.ctrlKey || document.activeElement === canvas));
  zoom.wheelDelta((event) => -event.deltaY * (event.deltaMode === 1 ? 0.05 : event.deltaMode ? 1 : 0.002) * (event.ctrlKey ? 10 : 1));

  function showCursor() {
    const size = cell();
    const [i, j] = view.cursor;
    const [x, y] = [(j + 0.5) * size + ox(), (i + 0.5) * size + oy()];
    const dx = x < 0 ? -x + size : x > gridWidth() ? gridWidth() - x - size : 0;
    const dy = y < 0 ? -y + size : y > gridHeight() ? gridHeight() - y - size : 0;
    if (dx || dy) selection.call(zoom.translateBy, dx / transform.k, dy / transform.k);
    draw();
    const text = describe(view.cursor).replaceAll("\n", "; ");
    status.textContent = text;
    announce(text);
  }

  canvas.addEventListener("keydown", (event) => {
    const step = event.shiftKey ? 10 : 1;
    const moves = { ArrowUp: [-step, 0], ArrowDown: [step, 0], ArrowLeft: [0, -step], ArrowRight: [0, step] };
    if (moves[event.key]) {
      const [i, j] = view.cursor || [0, 0];
      const move = view.cursor ? moves[event.key] : [0, 0];
      view.cursor = [Math.max(0, Math.min(view.rows.length - 1, i + move[0])), Math.max(0, Math.min(view.columns.length - 1, j + move[1]))];
      showCursor();
    } else if (event.key === "+" || event.key === "=") zoomBy(1.6);
    else if (event.key === "-" || event.key === "−") zoomBy(1 / 1.6);
    else if (event.key === "0" || event.key === "Home") selection.call(zoom.transform, d3.zoomIdentity);
    else if (event.key === "Escape") { view.cursor = null; status.textContent = ""; draw(); }
    else if (event.key === "Enter" && view.cursor) chooseTarget(view.matrix.columns[view.columns[view.cursor[1]]]);
    else return;
    event.preventDefault();
  });
  canvas.addEventListener("pointermove", (event) => {
    const box = canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    view.hover = cellAt(x, y);
    showTip(tip, view.hover && describe(view.hover), x, y, view.width);
    draw();
  });
  canvas.addEventListener("pointerleave", () => { view.hover = null; tip.hidden = true; draw(); });
  canvas.addEventListener("click", (event) => {
    const box = canvas.getBoundingClientRect();
    view.cursor = cellAt(event.clientX - box.left, event.clientY - box.top);
    if (view.cursor) showCursor();
  });
  byId("heat-in").addEventListener("click", () => zoomBy(1.6));
  byId("heat-out").addEventListener("click", () => zoomBy(1 / 1.6));
  byId("heat-reset").addEventListener("click", () => { view.cursor = null; selection.call(zoom.transform, d3.zoomIdentity); });

  // ------------------------------------------------------------------------------------- settings

  function reorder() {
    view.rows = ordered(0);
    view.columns = ordered(1);
    view.cursor = null;
    canvas.dataset.first = languages[view.matrix.rows[view.rows[0]]].code;
    paint();
    draw();
  }

  function resize() {
    const width = Math.max(320, Math.min(byId("heat-figure").clientWidth, 1180));
    const [rows, columns] = [view.rows.length, view.columns.length];
    const size = Math.min((width - MARGIN.left - MARGIN.right) / columns, 44, Math.max((window.innerHeight * 0.86 - MARGIN.top) / rows, 560 / rows));
    view.width = Math.round(Math.max(MARGIN.left + columns * size + MARGIN.right, 320));
    view.height = Math.round(MARGIN.top + rows * size + MARGIN.bottom);
    const ratio = window.devicePixelRatio || 1;
    canvas.width = view.width * ratio;
    canvas.height = view.height * ratio;
    canvas.style.width = `${view.width}px`;
    canvas.style.height = `${view.height}px`;
    setLimits();
    selection.call(zoom.transform, d3.zoomIdentity);
  }

  async function choose(key) {
    view.matrix = await loadMatrix(key);
    setExtent();
    view.rows = ordered(0);
    view.columns = ordered(1);
    resize();
    reorder();
    legend();
    canvas.setAttribute("aria-label", `Heat map of ${view.matrix.title}: ${view.rows.length} sources, ${view.columns.length} targets`);
  }

  languageInput(byId("find"), status, (language) => {
    const i = view.rows.findIndex((row) => view.matrix.rows[row] === language.index);
    const j = view.columns.findIndex((column) => view.matrix.columns[column] === language.index);
    view.cursor = [Math.max(i, 0), Math.max(j, 0)];
    if (cell() < 14) selection.call(zoom.scaleTo, 16 / base(), centreOf(view.cursor));
    showCursor();
  });
  byId("matrix").addEventListener("change", (event) => choose(event.target.value));
  byId("order").addEventListener("change", reorder);
  events.on("target.heat", () => { if (byId("order").value === "target") reorder(); });
  events.on("theme.heat", () => { if (view.matrix) { paint(); draw(); legend(); } });
  events.on("resize.heat", () => { if (view.matrix) { resize(); draw(); } });
  await choose(data.matrices[0].key);
}
