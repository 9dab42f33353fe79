(function () {
  "use strict";
  const config = JSON.parse(document.getElementById("data").textContent);
  const the = (id) => document.getElementById(id);
  const percent = (probability) => Math.round(100 * probability) + "\u00a0%";
  const RATE = 16000, MAX_SECONDS = 60, TIMELINE_SECONDS = 4;
  let recorder = null, requests = 0, url = null;

  const showStatus = (text) => { the("status").textContent = text; };
  const showError = (text) => {
    showStatus("");
    the("problem").textContent = text[0].toUpperCase() + text.slice(1);
    the("problem").hidden = false;
  };

  // Convert any format that the browser decodes to mono 16-bit WAV, so that the server needs no decoder for it.
  async function wav(blob) {
    const audio = await new OfflineAudioContext(1, 1, RATE).decodeAudioData(await blob.arrayBuffer());
    const mono = new Float32Array(audio.length);
    for (let c = 0; c < audio.numberOfChannels; c++) {
      audio.getChannelData(c).forEach((value, n) => { mono[n] += value / audio.numberOfChannels; });
    }
    const view = new DataView(new ArrayBuffer(44 + 2 * mono.length));
    const write = (offset, text) => [...text].forEach((letter, n) => view.setUint8(offset + n, letter.charCodeAt(0)));
    write(0, "RIFF"); view.setUint32(4, 36 + 2 * mono.length, true); write(8, "WAVEfmt ");
    view.setUint32(16, 16, true); view.setUint16(20, 1, true); view.setUint16(22, 1, true);
    view.setUint32(24, RATE, true); view.setUint32(28, 2 * RATE, true);
    view.setUint16(32, 2, true); view.setUint16(34, 16, true);
    write(36, "data"); view.setUint32(40, 2 * mono.length, true);
    mono.forEach((value, n) => view.setInt16(44 + 2 * n, Math.round(32767 * Math.max(-1, Math.min(1, value))), true));
    return new Blob([view], {type: "audio/wav"});
  }

  async function post(path, blob) {
    if (blob.size > config.limits.megabytes * 1e6) {
      throw new Error("This file has " + (blob.size / 1e6).toFixed(0) + " MB; the limit is " + config.limits.megabytes + " MB.");
    }
    const form = new FormData();
    form.append("file", blob, "recording");
    for (let attempt = 0; ; attempt++) {
      const response = await fetch(path, {method: "POST", body: form});
      if (response.ok) return response.json();
      const problem = await response.json().catch(() => ({title: "HTTP status " + response.status}));
      if (response.status === 503 && attempt < 5) {
        showStatus("The server is busy; retrying…");
        await new Promise((done) => setTimeout(done, 1000 * (Number(response.headers.get("Retry-After")) || 2)));
        continue;
      }
      const error = new Error(problem.detail || problem.title);
      error.audio = response.status === 422;
      throw error;
    }
  }

  async function predict(blob) {
    try {
      return [await post("/predict", blob), blob];
    } catch (error) {
      if (!error.audio) throw error;
      const decoded = await wav(blob).catch(() => null);  // the browser may decode formats that the server does not
      if (!decoded) throw error;
      return [await post("/predict", decoded), decoded];
    }
  }

  async function analyze(blob, name) {
    const request = ++requests;
    the("problem").hidden = true;
    the("result").hidden = true;
    showStatus("Analyzing…");
    try {
      const [prediction, sent] = await predict(blob);
      if (request !== requests) return;
      show(prediction, sent, name);
      if (prediction.seconds > TIMELINE_SECONDS) await showTimeline(sent, request);
    } catch (error) {
      if (request === requests) showError(error instanceof TypeError ? "The server cannot be reached." : error.message);
    }
  }

  async function showTimeline(blob, request) {
    showStatus("Computing the timeline…");
    const timeline = await post("/timeline", blob);
    if (request !== requests) return;
    the("over-time").hidden = false;
    drawTimeline(the("emotion-timeline"), timeline, the("audio"));
    showStatus("");
  }

  function show(prediction, blob, name) {
    const {label, confidence} = prediction, speech = config.emotions.includes(label), confident = confidence >= 0.5;
    const text = !speech ? "No speech detected" : (confident ? label : "Perhaps " + label) + ", " + percent(confidence);
    const dot = document.createElement("i");
    dot.style.background = config.colours[label] || "var(--faint)";
    the("prediction").replaceChildren(dot, text[0].toUpperCase() + text.slice(1));
    const flags = prediction.flags.length ? " Note: " + prediction.flags.map((flag) => config.flags[flag] || flag).join("; ") + "." : "";
    const doubt = speech && !confident ? " No emotion has a probability of 50 % or more." : "";
    the("remark").textContent = name + ", " + prediction.seconds.toFixed(1) + " seconds." + doubt + flags;
    the("bars").replaceChildren(...config.emotions.map((emotion) => bar(emotion, prediction.probabilities[emotion], emotion === label)));
    if (url) URL.revokeObjectURL(url);
    url = URL.createObjectURL(blob);
    the("audio").src = url;
    the("over-time").hidden = true;
    the("result").hidden = false;
    showStatus("");
    the("prediction").focus({preventScroll: true});
    the("result").scrollIntoView({block: "nearest"});
  }

  function bar(emotion, probability, best) {
    const row = document.createElement("li"), fill = document.createElement("span");
    const [label, track, value] = ["span", "span", "span"].map((tag) => document.createElement(tag));
    label.textContent = emotion;
    value.textContent = percent(probability);
    track.className = "track";
    track.setAttribute("aria-hidden", "true");
    fill.style.background = config.colours[emotion];
    fill.style.width = 100 * probability + "%";
    track.append(fill);
    if (best) row.className = "best";
    row.append(label, track, value);
    return row;
  }

  async function record() {
    if (!navigator.mediaDevices || !window.MediaRecorder) {
      return showError("This browser can only record on localhost or over HTTPS. Choose a file instead.");
    }
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({audio: true});
    } catch (error) {
      const denied = error.name === "NotAllowedError";
      return showError(denied ? "Access to the microphone was denied. Allow it in the site settings of the browser." : "No microphone was found.");
    }
    const chunks = [], context = new AudioContext(), started = performance.now();
    const meter = context.createAnalyser(), samples = new Float32Array(meter.fftSize);
    context.createMediaStreamSource(stream).connect(meter);
    recorder = new MediaRecorder(stream);
    recorder.ondataavailable = (event) => chunks.push(event.data);
    recorder.onstop = () => {
      stream.getTracks().forEach((track) => track.stop());
      context.close();
      const blob = new Blob(chunks, {type: recorder.mimeType});
      recorder = null;
      setRecording(false);
      showStatus("Analyzing…");
      wav(blob).then((audio) => analyze(audio, "Your voice"), () => showError("The recording cannot be decoded. It may be too short."));
    };
    recorder.start();
    setRecording(true);
    the("problem").hidden = true;
    showStatus("Recording. Press again to stop.");
    (function tick() {
      if (!recorder || recorder.state !== "recording") return;
      const seconds = (performance.now() - started) / 1000;
      meter.getFloatTimeDomainData(samples);
      const peak = samples.reduce((max, value) => Math.max(max, Math.abs(value)), 1e-4);
      the("level").firstElementChild.style.width = Math.max(0, 100 + 1.8 * 20 * Math.log10(peak)) + "%";
      the("record-hint").textContent = seconds.toFixed(1) + " s";
      if (seconds > MAX_SECONDS) recorder.stop(); else requestAnimationFrame(tick);
    })();
  }

  function setRecording(on) {
    the("record").classList.toggle("live", on);
    the("record-label").textContent = on ? "Stop" : "Record";
    the("level").classList.toggle("on", on);
    if (!on) the("record-hint").textContent = "2 to 10 seconds work best";
  }

  the("record").addEventListener("click", () => (recorder ? recorder.stop() : record()));
  the("file").addEventListener("change", () => {
    const [file] = the("file").files;
    if (file) analyze(file, file.name);
    the("file").value = "";
  });
  const drop = the("drop");
  for (const kind of ["dragenter", "dragover"]) {
    document.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.add("over"); });
  }
  for (const kind of ["dragleave", "drop"]) {
    document.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.remove("over"); });
  }
  document.addEventListener("drop", (event) => {
    const [file] = event.dataTransfer.files;
    if (file) analyze(file, file.name);
  });
})();
