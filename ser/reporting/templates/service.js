(function () {
  "use strict";
  const known = JSON.parse(document.getElementById("data").textContent);
  const the = (id) => document.getElementById(id);
  const percent = (share) => Math.round(100 * share) + " %";
  const RATE = 16000, LONGEST = 60, LONG = 4;
  let recorder = null, turn = 0, url = null;

  const showStatus = (text) => { the("status").textContent = text; };
  const showError = (text) => {
    showStatus("");
    the("problem").textContent = text[0].toUpperCase() + text.slice(1);
    the("problem").hidden = false;
  };

  // Convert any format that the browser decodes to mono 16-bit WAV, so that the server needs no decoder for it.
  async function wav(blob) {
    const sound = await new OfflineAudioContext(1, 1, RATE).decodeAudioData(await blob.arrayBuffer());
    const mono = new Float32Array(sound.length);
    for (let c = 0; c < sound.numberOfChannels; c++) {
      sound.getChannelData(c).forEach((value, n) => { mono[n] += value / sound.numberOfChannels; });
    }
    const view = new DataView(new ArrayBuffer(44 + 2 * mono.length));
    const write = (at, text) => [...text].forEach((letter, n) => view.setUint8(at + n, letter.charCodeAt(0)));
    write(0, "RIFF"); view.setUint32(4, 36 + 2 * mono.length, true); write(8, "WAVEfmt ");
    view.setUint32(16, 16, true); view.setUint16(20, 1, true); view.setUint16(22, 1, true);
    view.setUint32(24, RATE, true); view.setUint32(28, 2 * RATE, true);
    view.setUint16(32, 2, true); view.setUint16(34, 16, true);
    write(36, "data"); view.setUint32(40, 2 * mono.length, true);
    mono.forEach((value, n) => view.setInt16(44 + 2 * n, Math.round(32767 * Math.max(-1, Math.min(1, value))), true));
    return new Blob([view], {type: "audio/wav"});
  }

  async function post(path, blob) {
    if (blob.size > known.limits.megabytes * 1e6) {
      throw new Error("This file has " + (blob.size / 1e6).toFixed(0) + " MB; the limit is " + known.limits.megabytes + " MB.");
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
    const mine = ++turn;
    the("problem").hidden = true;
    the("result").hidden = true;
    showStatus("Analyzing…");
    try {
      const [found, sent] = await predict(blob);
      if (mine !== turn) return;
      show(found, sent, name);
      if (found.seconds > LONG) await follow(sent, mine);
    } catch (error) {
      if (mine === turn) showError(error instanceof TypeError ? "The server cannot be reached." : error.message);
    }
  }

  async function follow(blob, mine) {
    showStatus("Computing the timeline…");
    const found = await post("/timeline", blob);
    if (mine !== turn) return;
    the("over-time").hidden = false;
    ribbons(the("ribbons"), found, the("audio"));
    showStatus("");
  }

  function show(found, blob, name) {
    const best = found.label, sure = found.confidence, heard = known.emotions.includes(best);
    const words = !heard ? "No speech detected" : (sure >= 0.5 ? best : "Perhaps " + best) + ", " + percent(sure);
    const dot = document.createElement("i");
    dot.style.background = known.colours[best] || "var(--faint)";
    the("answer").replaceChildren(dot, words[0].toUpperCase() + words.slice(1));
    const flags = found.flags.length ? " Note: " + found.flags.map((flag) => known.flags[flag] || flag).join("; ") + "." : "";
    const doubt = sure >= 0.5 ? "" : heard ? " No emotion has a probability of 50 % or more." : "";
    the("remark").textContent = name + ", " + found.seconds.toFixed(1) + " seconds." + doubt + flags;
    the("bars").replaceChildren(...known.emotions.map((emotion) => bar(emotion, found.probabilities[emotion], emotion === best)));
    if (url) URL.revokeObjectURL(url);
    url = URL.createObjectURL(blob);
    the("audio").src = url;
    the("over-time").hidden = true;
    the("result").hidden = false;
    showStatus("");
    the("answer").focus({preventScroll: true});
    the("result").scrollIntoView({block: "nearest"});
  }

  function bar(emotion, share, best) {
    const row = document.createElement("li"), fill = document.createElement("span");
    const [label, track, value] = ["span", "span", "span"].map((tag) => document.createElement(tag));
    label.textContent = emotion;
    value.textContent = percent(share);
    track.className = "track";
    track.setAttribute("aria-hidden", "true");
    fill.style.background = known.colours[emotion];
    fill.style.width = 100 * share + "%";
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
      const refused = error.name === "NotAllowedError";
      return showError(refused ? "Access to the microphone was denied. Allow it in the site settings of the browser." : "No microphone was found.");
    }
    const pieces = [], context = new AudioContext(), started = performance.now();
    const meter = context.createAnalyser(), heard = new Float32Array(meter.fftSize);
    context.createMediaStreamSource(stream).connect(meter);
    recorder = new MediaRecorder(stream);
    recorder.ondataavailable = (event) => pieces.push(event.data);
    recorder.onstop = () => {
      stream.getTracks().forEach((track) => track.stop());
      context.close();
      const blob = new Blob(pieces, {type: recorder.mimeType});
      recorder = null;
      pressed(false);
      showStatus("Analyzing…");
      wav(blob).then((sound) => analyze(sound, "Your voice"), () => showError("The recording cannot be decoded. It may be too short."));
    };
    recorder.start();
    pressed(true);
    the("problem").hidden = true;
    showStatus("Recording. Press again to stop.");
    (function tick() {
      if (!recorder || recorder.state !== "recording") return;
      const seconds = (performance.now() - started) / 1000;
      meter.getFloatTimeDomainData(heard);
      const loudest = heard.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-4);
      the("level").firstElementChild.style.width = Math.max(0, 100 + 1.8 * 20 * Math.log10(loudest)) + "%";
      the("record-hint").textContent = seconds.toFixed(1) + " s";
      if (seconds > LONGEST) recorder.stop(); else requestAnimationFrame(tick);
    })();
  }

  function pressed(on) {
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
