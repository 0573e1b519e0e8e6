"""Signing in: tokens from generateToken and OAuth, renewed when they expire, told to nobody, sent nowhere else."""

import itertools
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hc_platform.catalog.models import UtilityConfig
from hc_platform.sources import SignInError, SourceError, SourceOptions, source_for
from hc_platform.sources.signing import may_see_token
from hc_platform_tests.hosting_capacity.making import config
from hc_platform_tests.integration.fake_arcgis import Handler, serve
from hc_platform_tests.sources.portal_server import Publication, World, online

FAST = SourceOptions(min_interval_s=0, attempts=1)
USER, WORD = "anna", "pa55-w0rd&more"


class Office:
    """Gives numbered tokens, each good for so many requests, to who knows the password."""

    def __init__(self, uses: int = 10**6, life_s: float = 3600) -> None:
        self.numbers, self.uses, self.life_s = itertools.count(1), uses, life_s
        self.left: dict[str, int] = {}
        self.forms: list[dict[str, str]] = []

    def login(self, path: str, form: dict[str, str]) -> dict[str, Any]:
        self.forms.append(form)
        oauth = path.endswith("/oauth2/token")
        who, word = ("client_id", "client_secret") if oauth else ("username", "password")
        if (form.get(who), form.get(word)) != (USER, WORD):
            words = f"Invalid username or password: {form.get(word)} of {form.get(who)}."
            return {"error": {"code": 400, "message": "Unable to generate token.", "details": [words]}}
        token = f"token-{next(self.numbers)}"
        self.left = {token: self.uses}  # an older one is worth nothing any more
        if oauth:
            return {"access_token": token, "expires_in": int(self.life_s)}
        return {"token": token, "expires": int((time.time() + self.life_s) * 1000), "ssl": True}

    def allows(self, token: str | None) -> int | None:
        if token is None:
            return 499
        self.left[token] = self.left.get(token, 0) - 1
        return 498 if self.left[token] < 0 else None


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("T_USER", USER)
    monkeypatch.setenv("T_WORD", WORD)
    with online(World()) as served:
        served.services["/arcgis/rest/services/HC/FeatureServer"] = Publication(40, max_record_count=4)
        yield served


def guarded(world: World, office: Office, method: str = "generate_token", **more: Any) -> UtilityConfig:
    world.login, world.allows = office.login, office.allows
    page = "/oauth2/token" if method == "oauth_app" else "/arcgis/tokens/generateToken"
    auth = {"method": method, "identity": "T_USER", "secret": "T_WORD", "token_url": world.root + page}
    return config(
        {"field_map": {}},
        service_url=f"{world.root}/arcgis/rest/services/HC/FeatureServer",
        requires_auth=True,
        auth=auth,
        **more,
    )


def pulled(made: UtilityConfig, folder: Path) -> int:
    source = source_for(made, made.layers[0], FAST)
    found = source.describe(made, made.layers[0])
    return source.pull(made, made.layers[0], found, folder, lambda *_: None).rows


@pytest.mark.parametrize("method", ["generate_token", "oauth_app"])
def test_one_sign_in_serves_all_questions(world: World, tmp_path: Path, method: str) -> None:
    office = Office()
    made = guarded(world, office, method)
    assert pulled(made, tmp_path) == 40
    [form] = office.forms
    if method == "oauth_app":
        assert (form["grant_type"], form["client_id"]) == ("client_credentials", USER)
    else:
        assert (form["client"], form["username"], form["f"]) == ("requestip", USER, "json")


def test_a_token_that_expires_in_the_midst_of_a_pull_is_renewed_once_for_all(
    world: World, tmp_path: Path
) -> None:
    office = Office(uses=8)
    assert pulled(guarded(world, office), tmp_path) == 40
    questions = sum("token" in params for _, params, _ in world.asked)
    refused = questions - 8 * len(office.forms)
    assert 2 <= len(office.forms) <= 5
    assert refused < FAST.in_flight * len(office.forms)


def test_a_token_about_to_end_is_renewed_before_it_is_used(world: World, tmp_path: Path) -> None:
    office = Office(life_s=30)
    made = guarded(world, office)
    source_for(made, made.layers[0], FAST).edited_at(made, made.layers[0])
    source_for(made, made.layers[0], FAST).edited_at(made, made.layers[0])
    assert len(office.forms) == 2


def test_a_referer_binds_the_token(world: World) -> None:
    office = Office()
    made = guarded(world, office, headers={"referer": "https://map.example/"})
    source_for(made, made.layers[0], FAST).edited_at(made, made.layers[0])
    assert (office.forms[0]["client"], office.forms[0]["referer"]) == ("referer", "https://map.example/")
    assert {h.get("referer") for path, _, h in world.asked if "/rest/services" in path} == {
        "https://map.example/"
    }


@pytest.mark.parametrize("method", ["generate_token", "oauth_app"])
def test_a_wrong_password_is_told_without_it(
    world: World, method: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("T_WORD", "wr0ng-one")
    made = guarded(world, Office(), method)
    with pytest.raises(SignInError, match="was refused: Unable to generate token") as error:
        source_for(made, made.layers[0], FAST).describe(made, made.layers[0])
    told = f"{error.value!r} {error.value.__cause__!r} {error.value.__context__!r} {caplog.text}"
    assert "wr0ng-one" not in told
    assert USER not in str(error.value)
    assert "T_USER with T_WORD" in str(error.value)
    assert not error.value.retryable


def test_neither_password_nor_token_stands_in_an_address_or_a_log(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    pulled(guarded(world, Office(uses=9)), tmp_path)
    addresses = " ".join(path for path, _, _ in world.asked)
    for told in (addresses, caplog.text):
        assert "pa55" not in told
        assert "token-" not in told


@pytest.mark.parametrize("missing", ["T_USER", "T_WORD"])
def test_a_variable_that_is_not_set_is_named(
    world: World, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(missing)
    made = guarded(world, Office())
    with pytest.raises(SourceError, match=f"test must sign in: the secret {missing} is not set"):
        source_for(made, made.layers[0], FAST).describe(made, made.layers[0])
    assert world.asked == []


def test_a_server_that_wants_a_token_we_have_not_says_so(world: World) -> None:
    world.allows = lambda token: 499
    made = config({"field_map": {}}, service_url=f"{world.root}/arcgis/rest/services/HC/FeatureServer")
    with pytest.raises(
        SignInError, match=r"needs sign-in: name the variables .* auth in utility_configs/test.yaml"
    ):
        source_for(made, made.layers[0], FAST).describe(made, made.layers[0])


def test_a_stale_bare_token_is_refused_once_and_named(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("T_TOKEN", "old-one")
    world.allows = lambda token: 498
    service = f"{world.root}/arcgis/rest/services/HC/FeatureServer"
    made = config({"field_map": {}}, service_url=service, auth={"secret": "T_TOKEN"})
    with pytest.raises(SignInError, match="The sign-in by T_TOKEN is not enough") as error:
        source_for(made, made.layers[0], FAST).describe(made, made.layers[0])
    assert "old-one" not in str(error.value)
    assert len(world.asked) == 2


def test_a_password_is_not_sent_on(world: World) -> None:
    seen: list[dict[str, str]] = []

    class Elsewhere(Handler):
        def respond(self, path: str, params: dict[str, str]) -> None:
            seen.append(params)
            self.send(200, b'{"token": "x"}')

    with serve(Elsewhere) as other:

        class Moved(Handler):
            def respond(self, path: str, params: dict[str, str]) -> None:
                self.send(307, b"", {"Location": f"{other}/generateToken"})

        with serve(Moved) as home:
            made = guarded(world, Office())
            auth = made.auth.model_copy(update={"token_url": f"{home}/generateToken"})  # type: ignore[union-attr]
            moved = made.model_copy(update={"auth": auth})
            with pytest.raises(SourceError, match="a password is not sent on; correct token_url"):
                source_for(moved, moved.layers[0], FAST).describe(moved, moved.layers[0])
    assert seen == []


@pytest.mark.parametrize(
    ("url", "may"),
    [
        ("https://gis.example.org/rest/services/X/FeatureServer", True),
        ("http://gis.example.org/rest/services/X/FeatureServer", False),
        ("https://gis.example.org.evil.net/rest/services/X/FeatureServer", False),
        ("https://services1.arcgis.com/abc/arcgis/rest/services/X/FeatureServer", True),
        ("https://notarcgis.com/rest/services/X/FeatureServer", False),
        ("http://services1.arcgis.com/abc/arcgis/rest/services/X/FeatureServer", False),
    ],
)
def test_tokens_go_where_the_config_says_and_to_the_site_that_gives_them(url: str, may: bool) -> None:
    auth = {
        "method": "generate_token", "identity": "A_B", "secret": "C_D",
        "token_url": "https://www.arcgis.com/sharing/rest/generateToken",
    }  # fmt: skip
    made = config(
        {"field_map": {}}, service_url="https://gis.example.org/rest/services/Y/FeatureServer", auth=auth
    )
    assert may_see_token(made, url) is may
