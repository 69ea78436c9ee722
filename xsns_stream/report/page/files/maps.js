// Maps: the languages in an embedding of their similarities, and at their places on Earth.

async function startMaps() {
  if (!data.maps) return;
  const { maps } = data;
  const figures = [];
  const [tip, status] = [byId("map-tip"), byId("map-status")];
  const neighbours = new Map(maps.languages.map((language, i) => [language, maps.neighbours[i]]));

  const valueOf = (language) => {
    const kind = byId("colour").value;
    if (kind === "cluster") return state.clusters.has(language.index) ? `cluster ${state.clusters.get(language.index) + 1}` : "";
    return language[kind];
  };

  function coloured() {
    const members = maps.languages.map((index) => languages[index]);
    if (byId("colour").value === "family") return families;
    // Clusters have the order and the colours that they have in the tree.
    const numbers = [...new Set(state.clusters?.values())].sort(d3.ascending).map((number) => `cluster ${number + 1}`);
    return categories(members.map(valueOf), byId("colour").value === "cluster" ? numbers : null);
  }

  const fill = (scale, value) => (scale.hollow(value) ? "var(--paper)" : scale.colour(value));

  function drawLegend(scale) {
    const present = new Set(maps.languages.map((index) => valueOf(languages[index])));
    const list = d3.select("#map-legend");
    list.selectAll("*").remove();
    const entries = scale.names.filter((name) => present.has(name)).map((name) => [name, name]);
    const others = [...present].filter((name) => name && !scale.place.has(name)).length;
    if (others) entries.push([null, others === 1 ? "1 other" : `${others} others`]);
    if (present.has("")) entries.push(["", "unknown"]);
    const items = list.selectAll("li").data(entries).join("li");
    items.append("svg").attr("width", 13).attr("height", 13).attr("aria-hidden", "true").append("path")
      .attr("transform", "translate(6.5,6.5)").attr("d", ([name]) => d3.symbol(scale.symbol(name), 55)()).style("fill", ([name]) => fill(scale, name))
      .style("stroke", ([name]) => (scale.hollow(name) ? scale.colour(name) : null)).attr("stroke-width", 1.6);
    items.append("span").text(([, text]) => text);
  }

  // A figure with points that can be zoomed and explored with the keyboard.
  function makeFigure(id, points, background) {
    const svg = d3.select(`#${id}`);
    const layer = svg.append("g").attr("class", "ground");
    const links = svg.append("g").attr("fill", "none");
    const dots = svg.append("g");
    const names = svg.append("g").attr("aria-hidden", "true").style("pointer-events", "none");
    const figure = { svg, points: [], transform: d3.zoomIdentity, focus: null };
    const zoom = d3.zoom().scaleExtent([1, 40])
      .filter((event) => !event.button && (event.type !== "wheel" || event.ctrlKey || svg.node().contains(document.activeElement)))
      .on("zoom", (event) => { figure.transform = event.transform; svg.attr("data-zoom", event.transform.k.toFixed(2)); place(); });
    svg.call(zoom).on("dblclick.zoom", null);
    const position = (point) => figure.transform.apply([point.x, point.y]);

    figure.resize = () => {
      figure.width = Math.max(300, svg.node().parentNode.clientWidth - 2);
      figure.height = background ? earthHeight(figure.width) : Math.round(Math.min(figure.width * 0.75, 620));
      svg.attr("viewBox", `0 0 ${figure.width} ${figure.height}`).attr("height", figure.height);
      zoom.translateExtent([[0, 0], [figure.width, figure.height]]).extent([[0, 0], [figure.width, figure.height]]);
      svg.call(zoom.transform, d3.zoomIdentity);
    };
    figure.reset = () => svg.call(zoom.transform, d3.zoomIdentity);

    figure.draw = (scale) => {
      figure.points = points(figure.width, figure.height);
      figure.byLanguage = new Map(figure.points.map((point) => [point.language.index, point]));
      if (background) background(layer, figure);
      dots.selectAll("path").data(figure.points, (point) => point.language.index).join("path")
        .attr("d", (point) => d3.symbol(scale.symbol(valueOf(point.language)), point.language.index === state.target ? 150 : 58)())
        .style("fill", (point) => fill(scale, valueOf(point.language)))
        .style("stroke", (point) => (scale.hollow(valueOf(point.language)) ? scale.colour(valueOf(point.language)) : point.language.index === state.target ? "var(--ink)" : "var(--paper)"))
        .attr("stroke-width", (point) => (point.language.index === state.target ? 2.4 : scale.hollow(valueOf(point.language)) ? 1.6 : 0.7))
        .style("cursor", "pointer")
        .on("pointerenter pointermove", (event, point) => point && hover(event, point))
        .on("pointerleave", () => { tip.hidden = true; })
        .on("click", (event, point) => chooseTarget(point.language.index));
      place();
    };

    function pairs() {
      const kind = byId("lines").value;
      const from = kind === "none" ? [] : kind === "all" ? figure.points.map((point) => point.language.index) : [state.target];
      return from.flatMap((index) => (neighbours.get(index) || []).slice(0, kind === "all" ? 1 : 3)
        .map((other) => [figure.byLanguage.get(index), figure.byLanguage.get(other)])).filter(([one, other]) => one && other);
    }

    function place() {
      if (!figure.byLanguage) return;
      layer.attr("transform", figure.transform);
      dots.selectAll("path").attr("transform", (point) => `translate(${position(point)})`);
      links.selectAll("path").data(pairs()).join("path").attr("class", byId("lines").value === "all" ? "link faint" : "link")
        .attr("stroke-width", 1.4).attr("d", ([one, other]) => line(one, other));
      placeNames();
    }

    function line(one, other) {
      const arc = figure.arc && figure.arc(one, other);
      return arc ? d3.geoPath(figure.projection)(arc)?.replace(/(-?[\d.]+),(-?[\d.]+)/g, (match, x, y) => figure.transform.apply([Number(x), Number(y)]).map((v) => v.toFixed(1)).join(",")) ?? null
        : `M${position(one)}L${position(other)}`;
    }

    // Writes names where no other name is; the target and its neighbours first.
    function placeNames() {
      const first = new Set([figure.focus, state.target, ...(neighbours.get(state.target) || [])]);
      const rank = (point) => [figure.focus, state.target].includes(point.language.index) ? 0 : first.has(point.language.index) ? 1 : 2;
      const boxes = [];
      const kept = [];
      for (const point of d3.sort(figure.points, (a, b) => rank(a) - rank(b))) {
        const [x, y] = position(point);
        if (x < 0 || y < 0 || x > figure.width || y > figure.height) continue;
        const width = 6.6 * point.language.name.length + 4;
        const box = [x + 7 + width > figure.width ? x - 7 - width : x + 7, y - 8, width, 16];
        const free = boxes.every(([a, b, w]) => box[0] > a + w || box[0] + width < a || box[1] > b + 14 || box[1] + 14 < b);
        if (free) {
          boxes.push(box);
          kept.push({ point, box });
        }
      }
      names.selectAll("text").data(kept, ({ point }) => point.language.index).join("text")
        .attr("x", ({ box }) => box[0]).attr("y", ({ box }) => box[1] + 8).attr("dominant-baseline", "central")
        .style("font-weight", ({ point }) => (rank(point) < 2 ? "bold" : null)).style("font-size", "11px")
        .style("paint-order", "stroke").style("stroke", "var(--paper)").style("stroke-width", "3px").style("stroke-linejoin", "round")
        .text(({ point }) => point.language.name);
    }

    function describe({ language }) {
      const near = (neighbours.get(language.index) || []).map((index) => languages[index].name).join(", ");
      return `${language.label}\n${[language.family || "family unknown", language.script].filter(Boolean).join(" · ")}\nmost similar: ${near}`;
    }

    function hover(event, point) {
      const box = byId("maps").getBoundingClientRect();
      byId("maps").style.position = "relative";
      showTip(tip, describe(point), event.clientX - box.left, event.clientY - box.top, box.width);
    }

    // The arrow keys go to the nearest point in that direction.
    svg.on("keydown", (event) => {
      const directions = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] };
      const direction = directions[event.key];
      if (direction) {
        const from = figure.byLanguage.get(figure.focus ?? state.target) || figure.points[0];
        const ahead = figure.points.filter((point) => point !== from).map((point) => {
          const [dx, dy] = [point.x - from.x, point.y - from.y];
          const along = dx * direction[0] + dy * direction[1];
          return { point, along, cost: along + 3 * Math.abs(dx * direction[1] + dy * direction[0]) };
        }).filter(({ along }) => along > 0);
        const next = d3.least(ahead, ({ cost }) => cost);
        if (next) {
          figure.focus = next.point.language.index;
          status.textContent = describe(next.point).replaceAll("\n", "; ");
          announce(status.textContent);
          place();
        }
      } else if (event.key === "Enter" && figure.focus !== null) chooseTarget(figure.focus);
      else if (event.key === "+" || event.key === "=") svg.call(zoom.scaleBy, 1.6);
      else if (event.key === "-") svg.call(zoom.scaleBy, 1 / 1.6);
      else if (event.key === "0") figure.reset();
      else return;
      event.preventDefault();
    });
    figures.push(figure);
    return figure;
  }

  function embedded(width, height) {
    const kind = byId("embedding") ? byId("embedding").value : "mds";
    const points = maps[kind];
    const [x0, x1] = d3.extent(points, (point) => point[0]);
    const [y0, y1] = d3.extent(points, (point) => point[1]);
    const scale = Math.min((width - 110) / (x1 - x0 || 1), (height - 50) / (y1 - y0 || 1));
    const [left, top] = [(width - 60 - scale * (x1 - x0)) / 2, (height - scale * (y1 - y0)) / 2];
    return points.map(([x, y], i) => ({ language: languages[maps.languages[i]], x: left + scale * (x - x0), y: top + scale * (y1 - y) }));
  }

  // The inhabited part of the Earth, from 57 degrees south to 83 degrees north.
  const earth = (width) => {
    const projection = d3.geoNaturalEarth1().fitWidth(width - 8, { type: "Sphere" });
    const [, top] = projection([0, 83]);
    const [left] = projection.translate();
    return projection.translate([left + 4, projection.translate()[1] - top + 6]);
  };
  const earthHeight = (width) => Math.ceil(earth(width)([0, -57])[1]) + 6;

  const placed = maps.languages.map((index) => languages[index]).filter((language) => language.latitude !== null && language.longitude !== null);
  let world = null;
  function onEarth(width, height) {
    world.projection = earth(width);
    world.arc = (one, other) => ({ type: "LineString", coordinates: [one, other].map(({ language }) => [language.longitude, language.latitude]) });
    const taken = new Map();
    return placed.map((language) => {
      const [x, y] = world.projection([language.longitude, language.latitude]);
      // Varieties of a language have one place; they are drawn side by side.
      const key = `${x.toFixed(1)},${y.toFixed(1)}`;
      const number = taken.get(key) || 0;
      taken.set(key, number + 1);
      const [angle, radius] = [2.4 * number, 2.6 * Math.sqrt(number)];
      return { language, x: x + radius * Math.cos(angle), y: y + radius * Math.sin(angle) };
    });
  }

  function drawLand(layer, figure) {
    const path = d3.geoPath(figure.projection);
    layer.selectAll(".land").data([maps.land]).join("path").attr("class", "land").attr("d", path);
    layer.selectAll(".sphere").data([{ type: "Sphere" }]).join("path").attr("class", "sphere").attr("d", path).attr("vector-effect", "non-scaling-stroke");
  }

  makeFigure("embedding-figure", embedded, null);
  world = makeFigure("world-figure", onEarth, drawLand);

  function caption() {
    const kind = byId("embedding") ? byId("embedding").value : "mds";
    const share = maps.explained === null ? "" : `; two dimensions show ${percent(maps.explained)} of the variance`;
    byId("embedding-caption").textContent = kind === "mds" ? `Classical multidimensional scaling of 1 − similarity${share}. Distances in the plane are approximate.`
      : "UMAP of 1 − similarity. Only close points can be compared; distances between groups mean little.";
    const missing = maps.languages.length - placed.length;
    byId("world-caption").textContent = missing ? `${missing} ${missing === 1 ? "language has" : "languages have"} no place in Glottolog and ${missing === 1 ? "is" : "are"} not shown.` : "";
  }

  const LINES = {
    target: "Lines lead from the target to its most similar languages.",
    all: "A line leads from every language to its most similar language.",
    none: "",
  };

  function draw() {
    byId("lines-meaning").textContent = LINES[byId("lines").value];
    const scale = coloured();
    drawLegend(scale);
    figures.forEach((figure) => figure.draw(scale));
    caption();
    byId("map-target").value = languages[state.target].label;
  }

  languageInput(byId("map-target"), status, (language) => chooseTarget(language.index), maps.languages.map((index) => languages[index]));
  for (const id of ["colour", "lines", "embedding"]) byId(id)?.addEventListener("change", draw);
  byId("maps-reset").addEventListener("click", () => figures.forEach((figure) => figure.reset()));
  events.on("target.maps", draw);
  events.on("theme.maps", draw);
  events.on("cut.maps", () => { if (byId("colour").value === "cluster") draw(); });
  events.on("resize.maps", () => { figures.forEach((figure) => figure.resize()); draw(); });
  figures.forEach((figure) => figure.resize());
  draw();
}
