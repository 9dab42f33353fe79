"""The service answers as the model does, refuses what it must with a reason, and loses nobody."""

import re
import socket
import tempfile
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest
from fake_model import FakeModel, call, quiet, spoken
from serving import FakeServed, Service, served
from signals import encode, silence
from test_fuzz import WAYS

from ser import timeline
from ser.errors import InputError
from ser.service import Limits, application, run
from ser.windows import Layout

ANGRY, SAD = encode(spoken(900, seconds=1)), encode(spoken(100, seconds=1))


NO_FILE = b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n--b--\r\n'


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    limits = Limits(megabytes=0.5, minutes=0.5, seconds=10, waiting=100)
    with served(application(FakeServed(), limits=limits)) as it:
        yield it


@pytest.mark.parametrize(("content", "label"), [(ANGRY, "angry"), (SAD, "sad")])
def test_a_form_and_a_body_are_answered_alike(service: Service, content: bytes, label: str) -> None:
    """A file in a form, as browsers send it, and a file as the body, as curl does, are the same recording."""
    form, body = service.post("/predict", content), service.ask("POST", "/predict", content)
    assert form.status == body.status == 200
    assert form.json == body.json
    assert form.json["label"] == label
    assert form.json["confidence"] == form.json["probabilities"][label]
    assert form.json["seconds"] == 1
    assert form.json["flags"] == ["odd"]


def test_a_timeline_is_the_librarys(service: Service) -> None:
    """Its windows are those of `timeline.of`, with the options of the request."""
    expected = timeline.of(encode(call()), FakeModel(), Layout(window_seconds=2, hop_seconds=0.5, smoothing=0))
    reply = service.post("/timeline?window=2&hop=0.5&smoothing=0", encode(call()))
    assert reply.status == 200
    assert reply.json["windows"] == expected.as_dict()["windows"]
    assert reply.json["segments"] == expected.as_dict()["segments"]
    assert reply.json["label"] == expected.summary.label
    silent = service.post("/timeline", encode(quiet(2)))
    assert (silent.status, silent.json["label"], silent.json["confidence"]) == (200, None, None)


@pytest.mark.parametrize(
    ("path", "content", "found"),
    [
        ("/predict", b"", "empty"),
        ("/predict", b"no audio at all", "a text that begins with “no audio at all”"),
        ("/predict", b"\x00\x01\xfe\xff" * 9, "a file that begins with the bytes 00 01 fe ff"),
        ("/predict", ANGRY[:-100], "cut short"),
        ("/predict", encode(silence(1)), "all silence"),
        ("/predict", encode(silence(31), rate=8000, kind="FLAC"), "too long: 1.0 minutes"),
        ("/timeline?window=0", ANGRY, "window: found 0"),
        ("/timeline?hop=5", ANGRY, "hop: found 5"),
        ("/timeline?hop=nan", ANGRY, "hop: found nan"),
        ("/timeline?smoothing=1", ANGRY, "smoothing: found 1"),
        ("/timeline?hop=x", ANGRY, "an option that cannot be read: hop"),
        ("/timeline?windw=2", ANGRY, "an option that is unknown: windw"),
        ("/predict?hop=1", ANGRY, "an option that is unknown: hop"),
    ],
)
def test_what_is_no_recording_is_refused_with_a_reason(service: Service, path: str, content: bytes, found: str) -> None:
    """422 says what was found and what is expected, in JSON."""
    reply = service.post(path, content)
    assert reply.status == 422
    assert found in reply.json["found"]
    assert reply.json["expected"]


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("multipart/form-data", b"x", 400),
        ("multipart/form-data; boundary=b", b"x", 400),
        ("multipart/form-data; boundary=b", b"--b\r\n\r\nx\r\n--b--\r\n", 400),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n--b--\r\n',
            422,
        ),
    ],
)
def test_broken_forms_are_refused(service: Service, kind: str, body: bytes, status: int) -> None:
    """A form that is cut, has no boundary or no file is no mistake of ours."""
    reply = service.ask("POST", "/predict", body, Content_Type=kind)
    assert reply.status == status
    assert "file" in reply.json["expected"]


def test_fuzzed_audio_is_never_our_mistake(service: Service) -> None:
    """Of the bytes that the fuzzing of recordings uses, each is answered or refused, never with 500."""
    contents = [content for way in WAYS for _, content in list(way())[::29] if len(content) < 400_000]
    statuses = Counter(service.ask("POST", "/predict", content).status for content in contents)
    assert set(statuses) == {200, 422}
    assert len(contents) > 60


def test_a_large_body_is_cut_early(service: Service) -> None:
    """Nothing is taken of a body that announces too much, and of one that does not, no more than the limit."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as line:
        line.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\nabc")
        assert line.recv(12) == b"HTTP/1.1 413"
        while line.recv(4096):
            pass
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as line:
        line.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        sent = 0
        try:
            while sent < 50_000_000:
                line.sendall(b"10000\r\n" + bytes(65536) + b"\r\n")
                sent += 65536
        except OSError:
            pass
        assert sent < 20_000_000  # what lies in the system's buffers is sent, too
    assert service.post("/predict", ANGRY).status == 200


def test_who_sends_too_much_is_told_so(service: Service) -> None:
    """Also who reads no answer before all is sent: the connection is not broken meanwhile."""
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", service.port), timeout=10) as line:
            line.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n")
            for _ in range(9):
                line.sendall(bytes(100_000))
                time.sleep(0.002)
            assert line.recv(12) == b"HTTP/1.1 413"
    assert service.post("/predict", bytes(600_000)).json["expected"].startswith("at most 0.5 MB")


def test_no_file_is_left_behind(service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Not even a temporary one is made."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    assert service.post("/predict", ANGRY + bytes(400_000)).status == 200


def test_many_at_once_are_all_answered_right() -> None:
    """Forty requests at the same time get the answer to their own recording, or 503 and when to come again."""
    limits = Limits(workers=2, waiting=10)
    contents = [ANGRY, SAD] * 20
    with served(application(FakeServed(seconds=0.05), limits=limits)) as service:
        with ThreadPoolExecutor(40) as pool:
            replies = list(pool.map(lambda content: service.post("/predict", content), contents))
        assert service.ask("GET", "/health").json == {"status": "ok", "busy": 0, "places": 12}
    for n, reply in enumerate(replies):
        assert reply.status in (200, 503)
        if reply.status == 200:
            assert reply.json["label"] == ("angry", "sad")[n % 2]
        else:
            assert reply.headers["Retry-After"] == "2"
    assert {reply.status for reply in replies} == {200, 503}


def test_who_takes_too_long_is_told() -> None:
    """An answer that does not come in time ends with 503, a request that does not with 408; others go on."""
    limits = Limits(seconds=0.3, workers=1)
    with served(application(FakeServed(seconds=0.6), limits=limits)) as service:
        reply = service.post("/predict", ANGRY)
        assert (reply.status, reply.json["found"]) == (503, "no answer within 0.3 seconds")
        with socket.create_connection(("127.0.0.1", service.port), timeout=10) as line:
            line.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc")
            assert line.recv(12) == b"HTTP/1.1 408"
        until = time.monotonic() + 10
        while service.ask("GET", "/health").json["busy"]:
            assert time.monotonic() < until


def test_our_mistakes_say_nothing_of_the_inside() -> None:
    """500 has no path and no traceback."""

    class Broken(FakeServed):
        def predict(self, recording: bytes) -> None:
            raise RuntimeError("/secret/path")

    with served(application(Broken(), limits=Limits())) as service:
        reply = service.post("/predict", ANGRY)
        assert reply.status == 500
        assert reply.json["found"] == "a mistake of ours"
        assert b"secret" not in reply.content


def test_health_model_and_description(service: Service) -> None:
    """What programs ask for is there, and the description names all of it."""
    assert service.ask("GET", "/health").json["status"] == "ok"
    assert service.ask("GET", "/model").json == FakeServed().card
    description = service.ask("GET", "/openapi.json").json
    assert set(description["paths"]) == {"/predict", "/timeline", "/health", "/model"}
    assert {"200", "413", "422", "503"} <= set(description["paths"]["/predict"]["post"]["responses"])
    assert "multipart/form-data" in description["paths"]["/predict"]["post"]["requestBody"]["content"]
    for path, status in (("/nowhere", 404), ("/docs", 404), ("/predict", 405)):
        reply = service.ask("GET", path)
        assert (reply.status, set(reply.json)) == (status, {"found", "expected"})


def test_the_page_runs_its_own_script_only(service: Service) -> None:
    """The policy names script and style by their hashes, and allows no other place."""
    reply = service.ask("GET", "/")
    text, policy = reply.content.decode(), reply.headers["Content-Security-Policy"]
    for kind in ("script", "style"):
        [inside] = re.findall(f"<{kind}>(.*?)</{kind}>", text, re.DOTALL)
        assert f"{kind}-src 'sha256-{b64encode(sha256(inside.encode()).digest()).decode()}'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.findall(r"(?:src|href)=\"(?!/)", text)
    assert " style=" not in text
    assert " onclick=" not in text
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert "server" not in reply.headers


def test_limits_that_make_no_sense_are_refused() -> None:
    """The message names the limit."""
    with pytest.raises(InputError, match=r"workers: found 0; expected a number above 0"):
        Limits(workers=0)


TAKEN = [("127.0.0.1", 0), ("192.0.2.1", 8000), ("127.0.0.1", 99999), ("no host", 1)]


@pytest.mark.parametrize(("host", "port"), TAKEN)
def test_an_address_that_cannot_be_had_is_said(host: str, port: int) -> None:
    """No traceback, but what to do: a port that is taken, another's address, a port or a host that is none."""
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(InputError, match="expected an address"),
    ):
        wanted = port or taken.getsockname()[1]
        run(application(FakeServed(), limits=Limits()), host=host, port=wanted, started=print)
