// Evaluation: regret of each target, scores against predictions, and calibration.

async function startEvaluation() {
  if (!data.evaluation) return;
  const { evaluation } = data;
  const name = (i) => (evaluation.labels[i][1] === evaluation.labels[i][0] ? evaluation.labels[i][0] : `${evaluation.labels[i][1]} (${evaluation.labels[i][0]})`);
  const scores = await unpack(evaluation.scores);
  const predictors = await Promise.all(evaluation.predictors.map(async (predictor) => ({
    name: predictor.name,
    error: predictor.error,
    mean: predictor.mean_regret,
    regret: await unpack(predictor.regret),
    values: predictor.values && await unpack(predictor.values),
    calibrated: predictor.calibrated && await unpack(predictor.calibrated),
  })));
  const decimals = scoreDecimals(evaluation.unit);
  const unit = evaluation.unit === "percent" ? "percentage points" : evaluation.unit;
  const given = predictors.filter((predictor) => predictor.values);
  const colour = (i) => palette()[i % 7];
  const symbol = (i) => d3.symbol([d3.symbolCircle, d3.symbolDiamond2 ?? d3.symbolDiamond, d3.symbolSquare, d3.symbolTriangle, d3.symbolStar, d3.symbolCross][i % 6], 52)();

  // ------------------------------------------------------------------------------------- regret

  // Says over how many targets a mean is, if not over all.
  function known(predictor) {
    const count = predictor.regret.filter(finite).length;
    return count === evaluation.targets.length ? "" : ` (n = ${count} of ${evaluation.targets.length} targets)`;
  }

  function drawRegret() {
    const svg = d3.select("#regret-figure");
    const shownPredictors = predictors.filter((predictor) => predictor.regret.some(finite));
    const order = d3.sort(d3.range(evaluation.targets.length), (i) => -(given[0] && finite(given[0].regret[i]) ? given[0].regret[i] : -1));
    const width = Math.max(480, svg.node().parentNode.clientWidth - 18);
    const [pitch, left, top] = [17, 190, 30];
    const height = top + order.length * pitch + 8;
    const most = d3.max(shownPredictors, (predictor) => d3.max(predictor.regret.filter(finite))) || 1;
    const x = d3.scaleLinear([0, most], [left, width - 16]).nice();
    svg.attr("width", width).attr("height", height).attr("viewBox", `0 0 ${width} ${height}`).selectAll("*").remove();
    svg.append("g").attr("class", "axis").attr("transform", `translate(0,${top - 6})`).call(d3.axisTop(x).ticks(6));
    const rows = svg.selectAll(".row").data(order).join("g").attr("class", "row").attr("transform", (i, k) => `translate(0,${top + (k + 0.5) * pitch})`);
    rows.append("line").attr("x1", left).attr("x2", width - 16).style("stroke", "var(--line)");
    rows.append("text").attr("x", left - 8).attr("text-anchor", "end").attr("dominant-baseline", "central").text((i) => name(evaluation.targets[i]));
    shownPredictors.forEach((predictor, p) => {
      rows.filter((i) => finite(predictor.regret[i])).append("path").attr("d", symbol(p)).style("fill", colour(p)).style("stroke", "var(--paper)").attr("stroke-width", 0.5)
        .attr("transform", (i) => `translate(${x(predictor.regret[i])},0)`).append("title").text((i) => `${predictor.name}: ${shown(predictor.regret[i], decimals)} ${unit}`);
    });
    const legend = d3.select("#regret-legend");
    legend.selectAll("*").remove();
    const items = legend.selectAll("li").data(shownPredictors).join("li");
    items.append("svg").attr("width", 14).attr("height", 14).attr("aria-hidden", "true").append("path").attr("transform", "translate(7,7)")
      .attr("d", (predictor, p) => symbol(p)).style("fill", (predictor, p) => colour(p));
    items.append("span").text((predictor) => `${predictor.name}: ${shown(predictor.mean, decimals)} ${unit} on average${known(predictor)}`);
  }

  // ------------------------------------------------------------------------------------- scatter

  const canvas = byId("scatter");
  const context = canvas.getContext("2d");
  let points = [];
  const box = { left: 52, right: 12, top: 12, bottom: 38 };

  function drawScatter() {
    const predictor = given[Number(byId("predictor").value)];
    const width = Math.max(300, canvas.parentNode.clientWidth - 2);
    const height = Math.round(Math.min(width * 0.7, 460));
    const ratio = window.devicePixelRatio || 1;
    [canvas.width, canvas.height] = [width * ratio, height * ratio];
    canvas.style.height = `${height}px`;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const known = d3.range(scores.length).filter((i) => finite(scores[i]) && finite(predictor.values[i]));
    const x = d3.scaleLinear(d3.extent(known, (i) => predictor.values[i]), [box.left, width - box.right]).nice();
    const y = d3.scaleLinear(d3.extent(known, (i) => scores[i]), [height - box.bottom, box.top]).nice();
    context.clearRect(0, 0, width, height);
    context.font = "11px system-ui, sans-serif";
    context.fillStyle = variable("--quiet");
    context.strokeStyle = variable("--line");
    context.textAlign = "center";
    for (const tick of x.ticks(6)) { line(x(tick), box.top, x(tick), height - box.bottom); context.fillText(x.tickFormat(6)(tick), x(tick), height - box.bottom + 14); }
    context.fillText(predictor.name, (box.left + width - box.right) / 2, height - 6);
    context.textAlign = "right";
    context.textBaseline = "middle";
    for (const tick of y.ticks(6)) { line(box.left, y(tick), width - box.right, y(tick)); context.fillText(y.tickFormat(6)(tick), box.left - 6, y(tick)); }
    context.textBaseline = "alphabetic";
    context.fillStyle = variable("--accent");
    context.globalAlpha = Math.max(0.18, Math.min(0.8, 300 / known.length));
    points = known.map((i) => ({ i, x: x(predictor.values[i]), y: y(scores[i]) }));
    for (const point of points) { context.beginPath(); context.arc(point.x, point.y, 3, 0, 2 * Math.PI); context.fill(); }
    context.globalAlpha = 1;
    const correlation = pearson(known.map((i) => predictor.values[i]), known.map((i) => scores[i]));
    byId("scatter-caption").textContent = `${evaluation.name} of ${known.length} pairs against ${predictor.name}; Pearson correlation over all pairs ${shown(correlation, 2)}. The tables above compare the sources of each target.`;
    canvas.setAttribute("aria-label", `Scores against ${predictor.name}: ${known.length} pairs, correlation ${shown(correlation, 2)}`);
    drawCalibration(predictor);
  }

  function line(x1, y1, x2, y2) {
    context.beginPath();
    context.moveTo(x1, y1);
    context.lineTo(x2, y2);
    context.stroke();
  }

  function pearson(a, b) {
    const [ma, mb] = [d3.mean(a), d3.mean(b)];
    const product = d3.sum(a, (value, i) => (value - ma) * (b[i] - mb));
    return product / Math.sqrt(d3.sum(a, (value) => (value - ma) ** 2) * d3.sum(b, (value) => (value - mb) ** 2));
  }

  canvas.addEventListener("pointermove", (event) => {
    const area = canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - area.left, event.clientY - area.top];
    const near = d3.least(points, (point) => Math.hypot(point.x - x, point.y - y));
    const whole = byId("evaluation").getBoundingClientRect();
    byId("evaluation").style.position = "relative";
    const [source, target] = near ? [evaluation.pairs[2 * near.i], evaluation.pairs[2 * near.i + 1]] : [];
    const text = near && Math.hypot(near.x - x, near.y - y) < 14 ? `${name(source)} to ${name(target)}\n${evaluation.name}: ${shown(scores[near.i], decimals)}` : "";
    showTip(byId("scatter-tip"), text, event.clientX - whole.left, event.clientY - whole.top, whole.width);
  });
  canvas.addEventListener("pointerleave", () => { byId("scatter-tip").hidden = true; });

  // ------------------------------------------------------------------------------------- calibration

  function drawCalibration(predictor) {
    const svg = d3.select("#calibration-figure");
    svg.selectAll("*").remove();
    const known = predictor.calibrated ? d3.range(scores.length).filter((i) => finite(scores[i]) && finite(predictor.calibrated[i])) : [];
    const width = Math.max(300, svg.node().parentNode.clientWidth - 2);
    const height = Math.round(Math.min(width * 0.7, 460));
    svg.attr("viewBox", `0 0 ${width} ${height}`).attr("height", height);
    if (known.length < 10) {
      byId("calibration-caption").textContent = `There are too few pairs to predict scores from ${predictor.name}.`;
      svg.attr("aria-label", "No calibration");
      return;
    }
    const sorted = d3.sort(known, (i) => predictor.calibrated[i]);
    const count = Math.min(10, Math.floor(known.length / 5));
    const bins = d3.range(count).map((k) => sorted.slice(Math.floor(k * sorted.length / count), Math.floor((k + 1) * sorted.length / count))).map((bin) => ({
      predicted: d3.mean(bin, (i) => predictor.calibrated[i]), measured: d3.mean(bin, (i) => scores[i]),
      low: d3.quantile(bin, 0.1, (i) => scores[i]), high: d3.quantile(bin, 0.9, (i) => scores[i]), size: bin.length,
    }));
    const ends = d3.extent(bins.flatMap((bin) => [bin.predicted, bin.measured, bin.low, bin.high]));
    // Marks at the ends of the scales keep a distance from the axes, so that no axis covers them.
    const x = d3.scaleLinear(ends, [box.left + 12, width - box.right - 12]).nice();
    const y = d3.scaleLinear(ends, [height - box.bottom - 12, box.top + 22]).nice();
    svg.append("g").attr("class", "axis").attr("transform", `translate(0,${height - box.bottom})`).call(d3.axisBottom(x).ticks(6));
    svg.append("g").attr("class", "axis").attr("transform", `translate(${box.left},0)`).call(d3.axisLeft(y).ticks(6));
    svg.append("text").attr("class", "quiet").attr("x", width - box.right).attr("y", height - 4).attr("text-anchor", "end").text(`predicted ${evaluation.name}`);
    svg.append("text").attr("class", "quiet").attr("x", box.left + 6).attr("y", box.top + 6).text("measured");
    const [low, high] = x.domain();
    svg.append("line").attr("x1", x(low)).attr("x2", x(high)).attr("y1", y(low)).attr("y2", y(high)).style("stroke", "var(--mark)").attr("stroke-dasharray", "5 4");
    const marks = svg.selectAll(".bin").data(bins).join("g").attr("transform", (bin) => `translate(${x(bin.predicted)},0)`);
    marks.append("line").attr("y1", (bin) => y(bin.low)).attr("y2", (bin) => y(bin.high)).style("stroke", "var(--quiet)").attr("stroke-width", 2);
    marks.append("circle").attr("cy", (bin) => y(bin.measured)).attr("r", 5).style("fill", "var(--accent)")
      .append("title").text((bin) => `${bin.size} pairs: predicted ${shown(bin.predicted, decimals)}, measured ${shown(bin.measured, decimals)}`);
    const error = predictor.error === null ? "" : ` Typical error (RMSE): ${shown(predictor.error, decimals)} ${unit}.`;
    byId("calibration-caption").textContent = `Calibration: the scores that ${predictor.name} predicts for a target from the scores of all other targets, in ${count} groups of pairs, and the measured scores (dot: mean; bar: 10 % to 90 %). On the dashed line, both are equal.${error}`;
    svg.attr("aria-label", `Calibration of ${predictor.name} in ${count} groups of pairs`);
  }

  d3.select("#predictor").selectAll("option").data(given).join("option").attr("value", (predictor, i) => i).text((predictor) => predictor.name);
  byId("predictor").addEventListener("change", drawScatter);
  const draw = () => { drawRegret(); if (given.length) drawScatter(); };
  events.on("theme.evaluation", draw);
  events.on("resize.evaluation", draw);
  draw();
}
