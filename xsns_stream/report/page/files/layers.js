// Layers: the similarity of a pair within each group of parameters, and how well each group tells languages apart.

async function startLayers() {
  if (!data.layers) return;
  const status = byId("layers-status");
  const main = await loadMatrix(data.matrices[0].key);
  const among = main.rows.map((index) => languages[index]);
  const pair = { one: null, other: null };
  const WIDTH = 240;
  const titles = { layer: "Layers", module: "Kinds of modules" };
  const holder = d3.select("#layer-tables");

  function nearest(index) {
    const values = main.rows.map((source) => [source, main.values[main.at(source, index)]]);
    const others = values.filter(([source, value]) => source !== index && finite(value));
    return others.length ? d3.greatest(others, ([, value]) => value)[0] : main.rows.find((source) => source !== index);
  }

  function show(one, other) {
    [pair.one, pair.other] = [one, other];
    byId("pair-one").value = languages[one].label;
    byId("pair-other").value = languages[other].label;
    return draw();
  }

  async function draw() {
    for (const set of data.layers.sets) {
      const readers = await Promise.all(set.names.map((name) => loadPairs(`${set.by}:${name}`)));
      const values = readers.map(({ read }) => read(pair.one, pair.other));
      drawSet(set, values, readers.map(({ decimals }) => Math.min(3, decimals)));
    }
    const first = data.layers.sets[0];
    status.textContent = pair.one === pair.other ? "Choose two different languages."
      : `In each of the ${first.names.length} ${first.by === "layer" ? "layers" : "groups"}, the dot is the ${data.layers.coefficient} similarity of ${languages[pair.one].label} and ${languages[pair.other].label}; the tick is the mean over all pairs, and the bar extends one standard deviation to each side of it.`;
  }

  function drawSet(set, values, decimals) {
    const numbers = set.means.flatMap((mean, i) => [values[i], mean - set.spreads[i], mean + set.spreads[i]]).filter(finite);
    const [low, high] = numbers.length ? d3.extent(numbers) : [0, 1];
    const x = d3.scaleLinear([low, high === low ? low + 1 : high], [8, WIDTH - 8]);
    const best = d3.greatestIndex(set.separations, (value) => value ?? -1);
    const section = holder.selectAll(`.set-${set.by}`).data([set]).join((enter) => {
      const made = enter.append("div").attr("class", `set-${set.by} scroll wide`).attr("tabindex", 0).attr("role", "region").attr("aria-label", `Table: ${titles[set.by]}`);
      const table = made.append("table");
      table.append("caption").text(titles[set.by]);
      table.append("thead").append("tr");
      table.append("tbody");
      return made;
    });
    const head = [["", true], [`${shown(low)} … ${shown(high)}`, true], ["This pair", false], ["Mean", false], ["Spread", false], ["Families", false], ["Share of selected", false], ["Parameters", false]];
    section.select("thead tr").selectAll("th").data(head).join("th").attr("scope", "col").classed("left", ([, left]) => left)
      .text(([text]) => text || (set.by === "layer" ? "Layer" : "Module"));
    section.select("tbody").selectAll("tr").data(set.names).join("tr").each(function fill(name, i) {
      const cells = [name, null, shown(values[i], decimals[i]), shown(set.means[i]), shown(set.spreads[i]), percent(set.separations[i]) + (i === best && finite(set.separations[i]) ? " ★" : ""),
        percent(set.shares[i]), d3.format(",")(set.sizes[i])];
      const row = d3.select(this).selectAll("th,td").data(cells).join((enter) => enter.append((cell, k) => document.createElement(k === 0 ? "th" : "td")));
      row.each(function write(cell, k) {
        const node = d3.select(this).classed("left", k < 2);
        if (k === 0) node.attr("scope", "row");
        if (k !== 1) node.text(cell);
        else plot(node, x, values[i], set.means[i], set.spreads[i]);
      });
    });
  }

  function plot(node, x, value, mean, spread) {
    const svg = node.selectAll("svg").data([0]).join("svg").attr("width", WIDTH).attr("height", 16).attr("viewBox", `0 0 ${WIDTH} 16`).attr("aria-hidden", "true");
    svg.selectAll("rect").data(finite(spread) ? [0] : []).join("rect").attr("x", x(mean - spread)).attr("width", x(mean + spread) - x(mean - spread)).attr("y", 4).attr("height", 8).style("fill", "var(--land)");
    svg.selectAll("line").data(finite(mean) ? [0] : []).join("line").attr("x1", x(mean)).attr("x2", x(mean)).attr("y1", 2).attr("y2", 14).style("stroke", "var(--quiet)").attr("stroke-width", 2);
    svg.selectAll("circle").data(finite(value) ? [0] : []).join("circle").attr("cx", x(value)).attr("cy", 8).attr("r", 4.5).style("fill", "var(--accent)");
  }

  languageInput(byId("pair-one"), status, (language) => show(language.index, pair.other), among);
  languageInput(byId("pair-other"), status, (language) => show(pair.one, language.index), among);
  events.on("target.layers", () => show(state.target, nearest(state.target)));
  await show(state.target, nearest(state.target));
}
