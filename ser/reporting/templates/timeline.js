// Draw a timeline, the data of ser/serving/timeline_page.py, with a cursor at the position of an audio element.
function drawTimeline(root, timeline, audio) {
  "use strict";
  const SVG = "http://www.w3.org/2000/svg";
  const {emotions, windows, outline, seconds: duration} = timeline;
  const percent = (probability) => Math.round(100 * probability) + " %";
  const clock = (seconds) => {
    const total = Math.floor(seconds + 1e-6);
    return Math.floor(total / 60) + ":" + String(total % 60).padStart(2, "0");
  };
  const add = (parent, tag, name, text) => {
    const element = document.createElement(tag);
    if (name) element.className = name;
    if (text !== undefined) element.textContent = text;
    parent.append(element);
    return element;
  };
  const addSvg = (parent, name, height) => {
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", "0 0 " + duration + " " + height);
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("aria-hidden", "true");
    if (name) svg.setAttribute("class", name);
    parent.append(svg);
    return svg;
  };
  const addPath = (parent, d, name, fill) => {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", d);
    if (name) path.setAttribute("class", name);
    if (fill) path.setAttribute("fill", fill);
    parent.append(path);
  };

  root.replaceChildren();
  root.classList.add("emotion-timeline");
  const now = add(root, "p", "emotion-timeline-now");
  now.setAttribute("aria-live", "polite");
  const body = add(root, "div", "emotion-timeline-body");
  const names = add(body, "div", "emotion-timeline-names"), scroll = add(body, "div", "emotion-timeline-scroll");
  const values = add(body, "div", "emotion-timeline-values"), wide = add(scroll, "div", "emotion-timeline-wide");
  for (const column of [names, values, scroll]) column.setAttribute("aria-hidden", "true");
  add(names, "span", "", "waveform");
  add(values, "span", "", "");
  const labels = emotions.map((emotion) => add(names, "span", "", emotion));
  const numbers = emotions.map(() => add(values, "span", "", ""));

  const wave = addSvg(wide, "wave", 2.3);
  const peak = outline.reduce((max, value) => Math.max(max, value), 0.01); // scale quiet recordings up, but not silence
  const points = outline.map((value, n) => [n * timeline.outline_seconds, value / peak]);
  addPath(wave, "M0,1" + points.map(([x, y]) => "L" + x + "," + (1 - y)).join("") + "L" + duration + ",1"
    + points.reverse().map(([x, y]) => "L" + x + "," + (1 + y)).join("") + "Z", "emotion-timeline-wave");
  for (const {start, end} of timeline.segments) addPath(wave, "M" + start + ",2.12H" + end + "V2.3H" + start + "Z", "emotion-timeline-speech");
  for (const emotion of emotions) {
    const bars = windows.map((window, n) => {  // each window is drawn at its last hop
      const start = n ? windows[n - 1].end : 0, probability = window.probabilities[emotion] || 0;
      return probability ? "M" + start + ",1V" + (1 - 0.92 * probability) + "H" + window.end + "V1Z" : "";
    }).join("");
    addPath(addSvg(wide, "", 1), bars || "M0,1", "", timeline.colours[emotion]);
  }
  const ticks = add(wide, "div", "emotion-timeline-ticks"), cursor = add(wide, "div", "emotion-timeline-cursor");

  const foot = add(root, "div", "emotion-timeline-foot");
  const slider = add(foot, "input");
  Object.assign(slider, {type: "range", min: 0, max: duration, step: Math.min(0.1, duration / 100), value: 0});
  slider.setAttribute("aria-label", "Position in the recording");
  const zoomOut = add(foot, "button", "", "−"), zoomIn = add(foot, "button", "", "+");
  zoomOut.type = zoomIn.type = "button";
  zoomOut.setAttribute("aria-label", "Zoom out");
  zoomIn.setAttribute("aria-label", "Zoom in");

  let zoom = 1, announced = null;
  const layOut = () => {
    wide.style.width = 100 * zoom + "%";
    zoomOut.disabled = zoom <= 1;
    zoomIn.disabled = duration / zoom <= 5;
    const maxTicks = Math.max(2, Math.floor(scroll.clientWidth * zoom / 70));
    const step = [0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800].find((s) => duration / s <= maxTicks) || 3600;
    ticks.replaceChildren();
    for (let at = 0; at < duration - step / 2; at += step) {
      const tick = add(ticks, "span", "", step < 1 ? at.toFixed(1) + " s" : clock(at));
      tick.style.left = 100 * at / duration + "%";
    }
  };
  const show = (seconds) => {
    const window = windows.find((candidate) => seconds < candidate.end) || windows[windows.length - 1];
    const label = (window && window.label) || "";
    cursor.style.left = Math.min(100, 100 * seconds / duration) + "%";
    slider.value = seconds;
    emotions.forEach((emotion, n) => {
      const probability = window && window.probabilities[emotion];
      numbers[n].textContent = probability === undefined ? "" : percent(probability);
      numbers[n].className = labels[n].className = emotion === label ? "on" : "";
    });
    const text = label ? label + ", " + percent(window.confidence) : "no speech";
    slider.setAttribute("aria-valuetext", clock(seconds) + ", " + text);
    if (announced !== label || !audio || audio.paused) now.textContent = clock(seconds) + "  " + text;
    announced = label;
    const x = cursor.offsetLeft;
    if (zoom > 1 && (x < scroll.scrollLeft || x > scroll.scrollLeft + scroll.clientWidth)) scroll.scrollLeft = x - 30;
  };
  const seek = (seconds) => {
    const position = Math.min(Math.max(seconds, 0), duration);
    if (audio) audio.currentTime = position;
    show(position);
  };
  const follow = () => {
    if (!root.isConnected || !audio || audio.paused) return;
    show(audio.currentTime);
    requestAnimationFrame(follow);
  };
  slider.addEventListener("input", () => seek(Number(slider.value)));
  scroll.addEventListener("click", (event) => {
    const box = wide.getBoundingClientRect();
    seek(duration * (event.clientX - box.left) / box.width);
  });
  const zoomBy = (factor) => { zoom = Math.min(Math.max(zoom * factor, 1), 4096); layOut(); show(Number(slider.value)); };
  zoomOut.addEventListener("click", () => zoomBy(0.5));
  zoomIn.addEventListener("click", () => zoomBy(2));
  if (audio) {
    audio.onplay = follow;
    audio.onseeked = () => show(audio.currentTime);
    audio.onended = () => show(duration);
  }
  if (window.ResizeObserver) new ResizeObserver(layOut).observe(scroll);
  layOut();
  show(0);
}
