"""The HTTP API returns the model's predictions, rejects invalid requests, and enforces its limits."""

import re
import socket
import tempfile
import time
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import requests

from ser.inference import timeline
from ser.inference.sliding_window import WindowSettings
from ser.serving.app import SECURITY_HEADERS, Limits, create_app, run
from ser.utils.errors import UserError
from tests.helpers.fake_model import FakeModel, call, quiet, spoken
from tests.helpers.http_service import Reply, Service, served
from tests.helpers.signals import encode, silence
from tests.test_fuzz import GENERATORS

ANGRY, SAD = encode(spoken(900, seconds=1)), encode(spoken(100, seconds=1))
NO_FILE = b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n--b--\r\n'


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    limits = Limits(megabytes=0.5, minutes=0.5, seconds=10, max_queued=100)
    with served(create_app(FakeModel(), limits=limits)) as running:
        yield running


def assert_problem(reply: Reply, status: int) -> None:
    """Check that a response is a problem of RFC 9457, with the security headers."""
    assert reply.status == status
    assert reply.headers["Content-Type"] == "application/problem+json"
    assert set(reply.json) == {"title", "detail"}
    assert all(isinstance(text, str) and text for text in reply.json.values())
    assert {name: reply.headers[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS


@pytest.mark.parametrize(("content", "label"), [(ANGRY, "angry"), (SAD, "sad")])
def test_a_form_and_a_raw_body_are_equivalent(service: Service, content: bytes, label: str) -> None:
    """A file in a form, as browsers send it, and a file as the body, as curl sends it, give the same prediction."""
    form, body = service.post("/predict", content), service.ask("POST", "/predict", content)
    assert form.status == body.status == 200
    expected = vars(FakeModel().predict(content)) | {"label": label, "flags": ["odd"]}
    assert form.json == body.json == expected


def test_timeline_uses_the_query_parameters(service: Service) -> None:
    """The windows are those of `timeline.predict_timeline` with the options of the request."""
    expected = timeline.predict_timeline(encode(call()), FakeModel(), WindowSettings(window=2, hop=0.5, smoothing=0))
    reply = service.post("/timeline?window=2&hop=0.5&smoothing=0", encode(call()))
    assert reply.status == 200
    assert expected.as_dict().items() <= reply.json.items()
    assert set(reply.json) - set(expected.as_dict()) == {"emotions", "colours", "outline", "outline_seconds"}
    silent = service.post("/timeline", encode(quiet(2)))
    assert (silent.status, silent.json["label"], silent.json["confidence"]) == (200, None, None)


@pytest.mark.parametrize(
    ("path", "content", "named"),
    [
        ("/predict", b"", "empty"),
        ("/predict", b"no audio at all", "not decodable as audio"),
        ("/predict", ANGRY[:-5000], "truncated"),
        ("/predict", encode(silence(31), rate=8000, kind="FLAC"), "1.0 minutes"),
        ("/timeline?window=0", ANGRY, "window: found 0"),
        ("/timeline?hop=x", ANGRY, "hop: "),
        ("/timeline?windw=2", ANGRY, "windw: "),
        ("/predict?hop=1", ANGRY, "hop: "),
    ],
)
def test_invalid_recordings_and_options_are_rejected(service: Service, path: str, content: bytes, named: str) -> None:
    """The status is 422, and the detail names the content or the option."""
    reply = service.post(path, content)
    assert_problem(reply, 422)
    assert named in reply.json["detail"]


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("multipart/form-data", b"x", 400),
        ("multipart/form-data; boundary=b", b"x", 400),
        ("Multipart/Form-Data; boundary=b", b"--b\r\n\r\nx\r\n--b--\r\n", 400),
        ("multipart/form-data; boundary=b", NO_FILE, 422),
        ("multipart/form-data; boundary=b", NO_FILE.replace(b'"a"', b'"a"; filename="a"')[:-8], 422),
        ("multipart/form-data; boundary=b", NO_FILE[:-7] * 9 + NO_FILE, 400),
    ],
)
def test_malformed_forms_are_rejected(service: Service, kind: str, body: bytes, status: int) -> None:
    """A form that is truncated, has no boundary, no file or too many fields is a client error."""
    assert_problem(service.ask("POST", "/predict", body, Content_Type=kind), status)


def test_fuzzed_audio_is_no_server_error(service: Service) -> None:
    """Corrupted recordings of the fuzzing tests give 200 or 422, never 500."""
    contents = [content for generate in GENERATORS for _, content in list(generate())[::29] if len(content) < 400_000]
    assert len(contents) > 60
    assert {service.ask("POST", "/predict", content).status for content in contents} == {200, 422}


def test_an_endless_body_is_cut_off(service: Service) -> None:
    """A body of too large an announced length is not read, and a chunked one not beyond twice the limit."""
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
        assert sent < 20_000_000  # including the buffers of the operating system
    assert service.post("/predict", ANGRY).status == 200


@pytest.mark.parametrize(
    "body", [bytes(600_000), bytes(5_000_000), (bytes(100_000) for _ in range(50))], ids=["short", "long", "chunked"]
)
def test_requests_reads_the_response_to_a_too_large_body(service: Service, body: Any) -> None:
    """The requests library gets 413 for announced and for chunked bodies, also beyond what the server reads."""
    response = requests.post(f"{service.url}predict", data=body, timeout=10)
    assert (response.status_code, response.headers["Connection"]) == (413, "close")
    assert set(response.json()) == {"title", "detail"}


def test_uploads_are_not_written_to_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No temporary file is created, also for a file that is larger than what starlette keeps in memory."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with served(create_app(FakeModel(), limits=Limits())) as service:
        assert service.post("/predict", ANGRY + bytes(2_000_000)).status == 200


def test_concurrent_requests_get_their_own_prediction() -> None:
    """Forty requests at the same time get the prediction for their own recording, or 503 and Retry-After."""
    limits = Limits(workers=2, max_queued=10)
    contents = [ANGRY, SAD] * 20
    with served(create_app(FakeModel(lambda: time.sleep(0.05)), limits=limits)) as service:
        with ThreadPoolExecutor(40) as pool:
            replies = list(pool.map(lambda content: service.post("/predict", content), contents))
        assert service.ask("GET", "/health").json == {"status": "ok", "busy": 0, "places": 12}
    for n, reply in enumerate(replies):
        if reply.status == 200:
            assert reply.json["label"] == ("angry", "sad")[n % 2]
        else:
            assert_problem(reply, 503)
            assert reply.headers["Retry-After"] == "2"
    assert {reply.status for reply in replies} == {200, 503}


def test_slow_requests_and_predictions_time_out() -> None:
    """A prediction that takes too long gives 503, an incomplete request 408; both free their slots."""
    limits = Limits(seconds=0.3, workers=1)
    with served(create_app(FakeModel(lambda: time.sleep(2)), limits=limits)) as service:
        start = time.monotonic()
        assert_problem(service.post("/predict", ANGRY), 503)
        assert time.monotonic() - start < 2
        with socket.create_connection(("127.0.0.1", service.port), timeout=10) as line:
            line.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc")
            assert line.recv(12) == b"HTTP/1.1 408"
        until = time.monotonic() + 10
        while service.ask("GET", "/health").json["busy"]:
            assert time.monotonic() < until


def test_no_more_than_workers_run_at_once() -> None:
    """A prediction that runs on after its timeout keeps its worker; one that timed out in the queue never runs."""
    released = Event()
    model = FakeModel(lambda: released.wait(30))
    with served(create_app(model, limits=Limits(seconds=0.5, workers=1))) as service:
        with ThreadPoolExecutor(6) as pool:
            replies = list(pool.map(lambda _: service.post("/predict", ANGRY), range(6)))
        assert [reply.status for reply in replies] == [503] * 6
        assert model.n_calls == 1
        released.set()
        until = time.monotonic() + 10
        while service.post("/predict", ANGRY).status != 200:
            assert time.monotonic() < until
        assert model.n_calls == 2


def test_server_errors_reveal_no_internals() -> None:
    """The response with status 500 contains no path and no traceback."""
    secret = Path("/secret/path")
    with served(create_app(FakeModel(secret.read_bytes), limits=Limits())) as service:
        reply = service.post("/predict", ANGRY)
        assert_problem(reply, 500)
        assert b"secret" not in reply.content


def test_health_model_and_openapi(service: Service) -> None:
    """The description names request bodies, options and errors of each endpoint."""
    assert service.ask("GET", "/model").json == FakeModel.card.model_dump()
    description = service.ask("GET", "/openapi.json").json
    assert set(description["paths"]) == {"/predict", "/timeline", "/health", "/model"}
    endpoint = description["paths"]["/timeline"]["post"]
    assert {option["name"] for option in endpoint["parameters"]} == {"window", "hop", "smoothing"}
    assert set(endpoint["responses"]) == {"200", "400", "408", "413", "422", "503"}
    assert set(endpoint["responses"]["413"]["content"]) == {"application/problem+json"}
    assert set(endpoint["requestBody"]["content"]) == {"multipart/form-data", "application/octet-stream"}
    for path, status in (("/nowhere", 404), ("/docs", 404), ("/predict", 405)):
        assert_problem(service.ask("GET", path), status)


def test_page_has_a_strict_content_security_policy(service: Service) -> None:
    """The policy allows the script and the style by their hashes, and no other origin."""
    reply = service.ask("GET", "/")
    text, policy = reply.content.decode(), reply.headers["Content-Security-Policy"]
    for kind in ("script", "style"):
        [inside] = re.findall(f"<{kind}>(.*?)</{kind}>", text, re.DOTALL)
        assert f"{kind}-src 'sha256-{b64encode(sha256(inside.encode()).digest()).decode()}'" in policy
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
    assert not re.findall(r"(?:src|href)=\"(?!/)| style=| onclick=", text)
    assert {name: reply.headers[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS
    assert "server" not in reply.headers


@pytest.mark.parametrize("limit", [{"workers": 0}, {"seconds": float("inf")}, {"max_queued": -1}])
def test_invalid_limits_are_rejected(limit: dict[str, Any]) -> None:
    """The error names the limit; a queue of length 0 is valid."""
    with pytest.raises(UserError, match=next(iter(limit))):
        Limits(**limit)
    assert Limits(max_queued=0).max_queued == 0


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 0), ("127.0.0.1", 99999), ("no host", 1)])
def test_unavailable_address(host: str, port: int) -> None:
    """For a port in use, and an invalid port or host, the error names the address."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        wanted = port or taken.getsockname()[1]
        with pytest.raises(UserError, match=f"{host}:{wanted}"):
            run(create_app(FakeModel(), limits=Limits()), host=host, port=wanted, started=print)
