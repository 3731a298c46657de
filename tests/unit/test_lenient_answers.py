"""A clear no is a no, however badly it is written."""

from __future__ import annotations

import pytest

from boast_source.api.answers import error_of
from boast_source.api.failures import Call, of_status
from boast_source.api.reader import Response
from boast_source.errors import RefusedError

NO = b'{"errors": [{"code": "no", "detail": "never"}]}'


@pytest.mark.parametrize(
    "body",
    [
        NO,
        b"\xef\xbb\xbf" + NO,
        NO.replace(b"never", b"never \xe9"),
        NO.replace(b"never", b"never \\ud83d"),
        NO.replace(b"}]}", b'}], "meta": {"score": NaN, "most": -Infinity}}'),
        NO.replace(b"[{", b"[null, {"),
        NO.replace(b"[{", b'["no", {'),
    ],
)
def test_a_no_that_is_not_quite_json_is_a_no(body):
    error = error_of(body)
    assert (error.given, error.code) == (True, "no")
    assert error.detail.startswith("never")
    refused = of_status(Response(422, {}, body), Call("POST", "/sequence_enrollments"))
    assert isinstance(refused, RefusedError)
    assert refused.may_have_acted is False


@pytest.mark.parametrize("body", [b"", b"<html>no</html>", NO[:-2], b'{"errors": []}', b'{"errors": [null]}', b"[1]"])
def test_what_says_no_errors_is_no_clear_no(body):
    assert error_of(body).given is False
    assert of_status(Response(422, {}, body), Call("POST", "/sequence_enrollments")).may_have_acted is True
