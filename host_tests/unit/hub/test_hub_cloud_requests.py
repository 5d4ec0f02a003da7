"""What strangers can send the cloud API: refused with a code, or read, before anything is done."""

import base64
import hashlib
import hmac
import json
from dataclasses import replace
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.hub.cloud.actions import V2021
from tools.hub.cloud.errors import CloudError
from tools.hub.cloud.parameters import MAX_LEVELS, Parameters
from tools.hub.cloud.signature import HttpRequest, check

NOW_S = 1_700_000_000
KEYS = {"AKIDone": "secret"}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["Name", "Limit", "List", "0", "1"]), inner)
    ),
    max_leaves=10,
)


def read_everything(parameters: Parameters, level: int = 0) -> None:
    """Read every name as every kind; nothing but CloudError may come of it."""
    for name in ("Name", "Limit", "List", "0", "ProductId"):
        for read in (
            lambda name=name: parameters.text(name),
            lambda name=name: parameters.integer(name),
            lambda name=name: parameters.boolean(name),
            lambda name=name: parameters.texts(name, 2),
        ):
            try:
                read()
            except CloudError:
                continue
        try:
            inner = [parameters.inner(name), *parameters.inners(name, 3)]
        except CloudError:
            continue
        for each in inner if level < 1 else ():
            read_everything(each, level + 1)


@settings(deadline=None)
@given(JSON.map(json.dumps).map(str.encode) | st.binary(max_size=40))
def test_any_body(body):
    try:
        parameters = Parameters.from_json(body, V2021)
    except CloudError as refused:
        assert refused.code == "InvalidParameter"
        return
    read_everything(parameters)


@settings(deadline=None)
@given(
    st.dictionaries(
        st.lists(
            st.sampled_from(["Name", "List", "0", "1", "", "x"]), min_size=1, max_size=10
        ).map(".".join),
        st.text(max_size=5) | st.integers().map(str),
        max_size=6,
    )
)
def test_any_fields(fields):
    try:
        parameters = Parameters.from_fields(fields, V2021)
    except CloudError as refused:
        assert refused.code == "InvalidParameter"
        return
    read_everything(parameters)


def test_flat_fields_are_what_json_would_be():
    fields = {
        "ProductID": "P",
        "Limit": "10",
        "On": "True",
        "Names.1": "b",
        "Names.0": "a",
        "Names.10": "c",
        "Tags.0.Tag": "t",
        "Properties.Kind": "2",
    }
    parameters = Parameters.from_fields(fields, V2021)
    assert parameters.text("ProductId") == "P"
    assert (parameters.integer("Limit"), parameters.boolean("On")) == (10, True)
    assert parameters.texts("Names", 3) == ["a", "b", "c"]
    assert parameters.inners("Tags", 1)[0].text("Tag") == "t"
    assert parameters.inner("Properties").integer("Kind") == 2
    # In JSON a number is no text and a text no number.
    typed = Parameters.from_json(b'{"Limit": "10", "On": "True", "Name": 7}', V2021)
    for read in (
        lambda: typed.integer("Limit"),
        lambda: typed.boolean("On"),
        lambda: typed.text("Name"),
        lambda: typed.texts("Name", 1),
    ):
        with pytest.raises(CloudError, match="must be"):
            read()


def test_levels_are_bounded():
    deep = ".".join("a" for _ in range(MAX_LEVELS + 1))
    with pytest.raises(CloudError, match="levels"):
        Parameters.from_fields({deep: "1"}, V2021)
    with pytest.raises(CloudError, match="not JSON"):
        Parameters.from_json(b"[" * 100_000, V2021)


WORDS = st.text(max_size=20) | st.sampled_from(["TC3-HMAC-SHA256", "iotcloud", "AKIDone", "host"])


@settings(deadline=None)
@given(
    st.sampled_from(["GET", "POST"]),
    st.dictionaries(
        st.sampled_from(
            ["Authorization", "X-TC-Action", "X-TC-Version", "X-TC-Timestamp", "content-type"]
        ),
        WORDS | st.just(str(NOW_S)),
    ),
    st.tuples(WORDS, st.sampled_from(["2023-11-14", "2023-11-15"]), WORDS, WORDS).map(
        lambda parts: (
            f"TC3-HMAC-SHA256 Credential={parts[0]}/{parts[1]}/{parts[2]}/tc3_request, "
            f"SignedHeaders={parts[3]}, Signature={'0' * 64}"
        )
    )
    | st.none(),
    st.dictionaries(
        st.sampled_from(["Action", "Signature", "SecretId", "Nonce", "Timestamp", "Version", "x"]),
        WORDS | st.just(str(NOW_S)),
    ).map(urlencode)
    | st.text(max_size=30),
)
def test_any_signature_is_refused(method, headers, authorization, sent):
    if authorization is not None:
        headers = headers | {"Authorization": authorization}
    request = HttpRequest(method, "a:1", sent, headers, sent.encode("utf-8", "replace"))
    with pytest.raises(CloudError):
        check(request, KEYS.get, NOW_S)


def old_request(**changes: str) -> HttpRequest:
    fields = {
        "Action": "DescribeProducts",
        "Version": V2021,
        "SecretId": "AKIDone",
        "Nonce": "1",
        "Timestamp": str(NOW_S),
        "SignatureMethod": "HmacSHA256",
        "Attr_x": "a b&c=",
    } | changes
    pairs = {name.replace("_", "."): value for name, value in fields.items()}
    text = "POSThub:1/?" + "&".join(f"{name}={pairs[name]}" for name in sorted(pairs))
    digest = hmac.digest(b"secret", text.encode(), hashlib.sha256)
    fields["Signature"] = base64.b64encode(digest).decode()
    return HttpRequest("POST", "hub:1", "", {}, urlencode(fields).encode())


def test_the_older_signature():
    signed = check(old_request(), KEYS.get, NOW_S)
    assert (signed.action, signed.version) == ("DescribeProducts", V2021)
    assert signed.fields is not None and signed.fields["Attr_x"] == "a b&c="


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"SecretId": "AKIDtwo"}, "AuthFailure.SecretIdNotFound"),
        ({"Timestamp": str(NOW_S + 301)}, "AuthFailure.SignatureExpire"),
        ({"Timestamp": "now"}, "InvalidParameterValue"),
        ({"Timestamp": "١٧٠٠٠٠٠٠٠٠"}, "InvalidParameterValue"),
        ({"Nonce": ""}, "MissingParameter"),
        ({"SignatureMethod": "HmacMD5"}, "InvalidParameterValue"),
        # Signed with another method than is said.
        ({"SignatureMethod": "HmacSHA1"}, "AuthFailure.SignatureFailure"),
    ],
    ids=lambda value: str(value),
)
def test_what_the_older_signature_is_refused_for(changes, code):
    with pytest.raises(CloudError) as refused:
        check(old_request(**changes), KEYS.get, NOW_S)
    assert refused.value.code == code


def tc3_request(day: str = "2023-11-14", service: str = "iotcloud", **changes: str) -> HttpRequest:
    """Signed as the vendor's page on signature v3 has it."""
    headers = {
        "content-type": "application/json",
        "X-TC-Action": "DescribeProducts",
        "X-TC-Version": V2021,
        "X-TC-Timestamp": str(NOW_S),
    } | changes
    body = b'{"Limit": 1}'
    names = "content-type;host"
    canonical = f"POST\n/\n\ncontent-type:{headers['content-type']}\nhost:hub:1\n\n{names}\n"
    canonical += hashlib.sha256(body).hexdigest()
    scope = f"{day}/{service}/tc3_request"
    hashed = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"TC3-HMAC-SHA256\n{headers['X-TC-Timestamp']}\n{scope}\n{hashed}"
    key = b"TC3secret"
    for part in (day, service, "tc3_request"):
        key = hmac.digest(key, part.encode(), hashlib.sha256)
    signature = hmac.digest(key, text.encode(), hashlib.sha256).hex()
    headers["Authorization"] = (
        f"TC3-HMAC-SHA256 Credential=AKIDone/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return HttpRequest("POST", "hub:1", "", headers, body)


def test_the_newer_signature():
    signed = check(tc3_request(), KEYS.get, NOW_S)
    assert (signed.action, signed.version, signed.fields) == ("DescribeProducts", V2021, None)
    # The day is that of the time that is signed, by UTC.
    midnight_s = 1_700_006_400
    late = tc3_request("2023-11-15", **{"X-TC-Timestamp": str(midnight_s)})
    assert check(late, KEYS.get, midnight_s - 60)


@pytest.mark.parametrize(
    "request_",
    [
        tc3_request(day="2023-11-15"),
        tc3_request(service="cvm"),
        replace(tc3_request(), body=b'{"Limit": 2}'),
        replace(tc3_request(), host="hub:2"),
        replace(tc3_request(), method="GET"),
    ],
    ids=["another day", "another service", "body", "host", "method"],
)
def test_a_signature_of_something_else(request_):
    with pytest.raises(CloudError) as refused:
        check(request_, KEYS.get, NOW_S)
    assert refused.value.code == "AuthFailure.SignatureFailure"
