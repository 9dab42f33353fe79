// Draws a timeline and lets a cursor run along it with an audio element. `it` is what ser/serving/timeline_page.py hands over.
function ribbons(root, it, audio) {
  "use strict";
  const SVG = "http://www.w3.org/2000/svg";
  const percent = (share) => Math.round(100 * share) + " %";
  const clock = (seconds) => {
    const whole = Math.floor(seconds + 1e-6), minutes = Math.floor(whole / 60);
    return minutes + ":" + String(whole % 60).padStart(2, "0");
  };
  const add = (parent, tag, name, text) => {
    const made = document.createElement(tag);
    if (name) made.className = name;
    if (text !== undefined) made.textContent = text;
    parent.append(made);
    return made;
  };
  const picture = (parent, name, high) => {
    const made = document.createElementNS(SVG, "svg");
    made.setAttribute("viewBox", "0 0 " + it.seconds + " " + high);
    made.setAttribute("preserveAspectRatio", "none");
    made.setAttribute("aria-hidden", "true");
    if (name) made.setAttribute("class", name);
    parent.append(made);
    return made;
  };
  const area = (parent, path, name, fill) => {
    const made = document.createElementNS(SVG, "path");
    made.setAttribute("d", path);
    if (name) made.setAttribute("class", name);
    if (fill) made.setAttribute("fill", fill);
    parent.append(made);
  };

  root.replaceChildren();
  root.classList.add("ribbons");
  const now = add(root, "p", "ribbons-now");
  now.setAttribute("aria-live", "polite");
  const body = add(root, "div", "ribbons-body");
  const names = add(body, "div", "ribbons-names"), scroll = add(body, "div", "ribbons-scroll");
  const values = add(body, "div", "ribbons-values"), wide = add(scroll, "div", "ribbons-wide");
  for (const part of [names, values, scroll]) part.setAttribute("aria-hidden", "true");
  add(names, "span", "", "sound");
  add(values, "span", "", "");
  const labels = it.emotions.map((emotion) => add(names, "span", "", emotion));
  const numbers = it.emotions.map(() => add(values, "span", "", ""));

  // Each window's answer stands for the hop that it ends with.
  const starts = it.windows.map((window, n) => (n ? it.windows[n - 1].end : 0));
  const wave = picture(wide, "wave", 2.3);
  const loudest = it.outline.reduce((most, high) => Math.max(most, high), 0.01); // quiet recordings are to be seen too
  const points = it.outline.map((high, n) => [n * it.outline_seconds, high / loudest]);
  area(wave, "M0,1" + points.map(([x, y]) => "L" + x + "," + (1 - y)).join("") + "L" + it.seconds + ",1"
    + points.reverse().map(([x, y]) => "L" + x + "," + (1 + y)).join("") + "Z", "ribbons-wave");
  for (const part of it.segments) area(wave, "M" + part.start + ",2.12H" + part.end + "V2.3H" + part.start + "Z", "ribbons-speech");
  for (const emotion of it.emotions) {
    const path = it.windows.map((window, n) => {
      const share = window.probabilities[emotion] || 0;
      return share ? "M" + starts[n] + ",1V" + (1 - 0.92 * share) + "H" + window.end + "V1Z" : "";
    }).join("");
    area(picture(wide, "", 1), path || "M0,1", "", it.colours[emotion]);
  }
  const ticks = add(wide, "div", "ribbons-ticks"), cursor = add(wide, "div", "ribbons-cursor");

  const foot = add(root, "div", "ribbons-foot");
  const place = add(foot, "input");
  Object.assign(place, {type: "range", min: 0, max: it.seconds, step: Math.min(0.1, it.seconds / 100), value: 0});
  place.setAttribute("aria-label", "Position in the recording");
  const out = add(foot, "button", "", "−"), into = add(foot, "button", "", "+");
  out.type = into.type = "button";
  out.setAttribute("aria-label", "Show more time");
  into.setAttribute("aria-label", "Show less time");

  let zoom = 1, said = null;
  const spread = () => {
    wide.style.width = 100 * zoom + "%";
    out.disabled = zoom <= 1;
    into.disabled = it.seconds / zoom <= 5;
    const room = Math.max(2, Math.floor(scroll.clientWidth * zoom / 70));
    const step = [0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800].find((s) => it.seconds / s <= room) || 3600;
    ticks.replaceChildren();
    for (let at = 0; at < it.seconds - step / 2; at += step) {
      const tick = add(ticks, "span", "", step < 1 ? at.toFixed(1) + " s" : clock(at));
      tick.style.left = 100 * at / it.seconds + "%";
    }
  };
  const at = (seconds) => {
    const n = it.windows.findIndex((window) => seconds < window.end);
    return it.windows[n < 0 ? it.windows.length - 1 : n];
  };
  const show = (seconds) => {
    const window = at(seconds), answer = window && window.label;
    cursor.style.left = Math.min(100, 100 * seconds / it.seconds) + "%";
    place.value = seconds;
    it.emotions.forEach((emotion, n) => {
      const share = window && window.probabilities[emotion];
      numbers[n].textContent = share === undefined ? "" : percent(share);
      numbers[n].className = labels[n].className = emotion === answer ? "on" : "";
    });
    const words = answer ? answer + ", " + percent(window.confidence) : "nobody speaks";
    place.setAttribute("aria-valuetext", clock(seconds) + ", " + words);
    if (said !== (answer || "") || !audio || audio.paused) now.textContent = clock(seconds) + "  " + words;
    said = answer || "";
    const x = cursor.offsetLeft;
    if (zoom > 1 && (x < scroll.scrollLeft || x > scroll.scrollLeft + scroll.clientWidth)) scroll.scrollLeft = x - 30;
  };
  const go = (seconds) => {
    const to = Math.min(Math.max(seconds, 0), it.seconds);
    if (audio) audio.currentTime = to;
    show(to);
  };
  const run = () => {
    if (!root.isConnected || !audio || audio.paused) return;
    show(audio.currentTime);
    requestAnimationFrame(run);
  };
  place.addEventListener("input", () => go(Number(place.value)));
  scroll.addEventListener("click", (event) => {
    const box = wide.getBoundingClientRect();
    go(it.seconds * (event.clientX - box.left) / box.width);
  });
  const turn = (by) => { zoom = Math.min(Math.max(zoom * by, 1), 4096); spread(); show(Number(place.value)); };
  out.addEventListener("click", () => turn(0.5));
  into.addEventListener("click", () => turn(2));
  if (audio) {
    audio.onplay = run;
    audio.onseeked = () => show(audio.currentTime);
    audio.onended = () => show(it.seconds);
  }
  if (window.ResizeObserver) new ResizeObserver(spread).observe(scroll);
  spread();
  show(0);
}
