"""The worklist and referrals: what is found, in which order, and what nobody else is told."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from analysed import Loaded, analyse, load_study
from ct_files import Patient
from gantry.foundation.scope import tenant_scope, unit_of_work
from gantry.identity.models import User
from gantry.kernel.clock import SYSTEM_CLOCK, ManualClock
from gantry.kernel.vocabulary import Role
from gantry.studies.models import StudyGrant
from gantry.studies.public import refer_study
from gantry.tenancy.public import add_member, create_institution
from site_client import Client, by_token
from world import World, make_world

pytestmark = pytest.mark.usefixtures("database")

PEOPLE = [
    Patient("Åkesson^Örjan", "P-1"), Patient("Şahin^Işıl", "P-2"), Patient("Garcia^María=漢字", "Q-3"),
    Patient("O'Neil^Per%cent", "Q-4"), Patient("akeson^Bo", "R_5"),
]  # fmt: skip


@pytest.fixture(scope="module")
def world(database: None) -> World:
    world = make_world()
    for at, person in enumerate(PEOPLE):
        load_study(
            world, 1, patient=person, StudyDate=f"2026010{at + 1}", AccessionNumber=f"ACC-{at}",
            StudyDescription=("Thorax", "Becken", "Knie re", "Knie li", "Schädel")[at],
            Modality="MR" if at == 2 else "CT", SpecificCharacterSet="ISO_IR 192",
        )  # fmt: skip
    return world


def search(client: Client, **query: Any) -> Any:
    answer = client.post("/api/v1/worklist/search", json=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def ids(world: World, role: Role = Role.RADIOLOGIST, **query: Any) -> list[str]:
    return [row["patient"]["patient_id"] for row in search(by_token(world, role), **query)["results"]]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, ["R_5", "Q-4", "Q-3", "P-2", "P-1"]),
        ({"text": "akesson"}, ["P-1"]),
        ({"text": "ÅKESSON örjan"}, ["P-1"]),
        ({"text": "orjan akesson"}, ["P-1"]),
        ({"text": "sahin isil"}, ["P-2"]),
        ({"text": "IŞIL"}, ["P-2"]),
        ({"text": "ake"}, ["R_5", "P-1"]),
        ({"text": "knie"}, ["Q-4", "Q-3"]),
        ({"text": "garcia knie"}, ["Q-3"]),
        ({"text": "acc-2"}, ["Q-3"]),
        ({"text": "q-"}, ["Q-4", "Q-3"]),
        ({"text": "%"}, ["Q-4"]),
        ({"text": "_"}, []),
        ({"text": "' or 1=1 --"}, []),
        ({"patient": "P-"}, ["P-2", "P-1"]),
        ({"patient": "maria"}, ["Q-3"]),
        ({"patient": "R_"}, ["R_5"]),
        ({"accession": "ACC-3"}, ["Q-4"]),
        ({"description": "schadel"}, ["R_5"]),
        ({"date_from": "2026-01-02", "date_to": "2026-01-03"}, ["Q-3", "P-2"]),
        ({"date_from": "2026-01-05"}, ["R_5"]),
        ({"modalities": ["MR"]}, ["Q-3"]),
        ({"modalities": ["M"]}, []),
        ({"modalities": ["MR", "CT"], "text": "knie"}, ["Q-4", "Q-3"]),
        ({"analysis_states": ["none"]}, ["R_5", "Q-4", "Q-3", "P-2", "P-1"]),
        ({"analysis_states": ["done"]}, []),
        ({"review_states": ["none"]}, ["R_5", "Q-4", "Q-3", "P-2", "P-1"]),
        ({"sort": "study_date", "order": "asc"}, ["P-1", "P-2", "Q-3", "Q-4", "R_5"]),
        ({"sort": "patient_name", "order": "asc"}, ["R_5", "P-1", "Q-3", "Q-4", "P-2"]),
        ({"sort": "description", "order": "asc"}, ["P-2", "Q-4", "Q-3", "R_5", "P-1"]),
        ({"sort": "modality", "order": "desc", "page_size": 1}, ["Q-3"]),
    ],
)
def test_search_finds_what_matches_in_order(world: World, query: dict[str, Any], expected: list[str]) -> None:
    assert ids(world, **query) == expected


@pytest.mark.parametrize("sort", ["received", "study_date", "patient_name", "modality", "description", "state"])
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_pages_neither_repeat_nor_skip(world: World, sort: str, order: str) -> None:
    pages = [ids(world, sort=sort, order=order, page=page, page_size=2) for page in (1, 2, 3, 4)]
    assert [len(page) for page in pages] == [2, 2, 1, 0]
    assert sorted(one for page in pages for one in page) == sorted(person.patient_id for person in PEOPLE)
    assert search(by_token(world, Role.RADIOLOGIST), page=2, page_size=2)["count"] == 5


@pytest.mark.parametrize(
    "query",
    [
        {"page": 0}, {"page_size": 1000}, {"sort": "patient_id; drop"}, {"order": "x"}, {"modalities": ["C'T"]},
        {"date_from": "yesterday"}, {"text": "x" * 200}, {"text": "a\0b"}, {"analysis_states": ["secret"]}, [],
    ],
)  # fmt: skip
def test_search_is_refused_with_a_sentence_when_it_is_nonsense(world: World, query: Any) -> None:
    answer = by_token(world, Role.RADIOLOGIST).post("/api/v1/worklist/search", json=query)
    assert (answer.status_code, answer.json()["code"]) == (400, "request.invalid")


# --- referrals ---------------------------------------------------------------------------------------------


@pytest.fixture
def fresh() -> World:
    return make_world()


def refer(client: Client, loaded: Loaded, person: Any, **body: str) -> Any:
    return client.post(f"/api/v1/studies/{loaded.study_id}/referrals", json={"person_id": str(person)} | body)


def test_referrer_sees_and_counts_only_what_was_referred(fresh: World) -> None:
    first, second = load_study(fresh, 1), load_study(fresh, 1)
    referrer, radiologist = by_token(fresh, Role.REFERRER), by_token(fresh, Role.RADIOLOGIST)
    assert search(referrer) | {"cursor": 0} == {
        "count": 0,
        "page": 1,
        "page_size": 25,
        "results": [],
        "cursor": 0,
    }
    assert refer(radiologist, first, fresh.users[Role.REFERRER]).status_code == 201
    found = search(referrer)
    assert (found["count"], [row["id"] for row in found["results"]]) == (1, [str(first.study_id)])
    assert referrer.get(f"/api/v1/studies/{first.study_id}").status_code == 200
    assert referrer.get(f"/api/v1/studies/{second.study_id}").status_code == 404
    assert [item["0020000D"]["Value"][0] for item in referrer.get("/dicomweb/studies").json()] == [first.study_uid]
    assert referrer.get(f"/dicomweb/studies/{second.study_uid}").status_code == 404
    assert search(radiologist)["count"] == 2


def test_referral_ends_at_once_when_it_is_withdrawn(fresh: World) -> None:
    loaded = load_study(fresh, 1)
    referrer, radiologist = by_token(fresh, Role.REFERRER), by_token(fresh, Role.RADIOLOGIST)
    referral = refer(radiologist, loaded, fresh.users[Role.REFERRER]).json()
    assert referrer.get(f"/api/v1/studies/{loaded.study_id}").status_code == 200
    path = f"/api/v1/studies/{loaded.study_id}/referrals/{referral['id']}"
    assert radiologist.request("DELETE", path).status_code == 204
    assert referrer.get(f"/api/v1/studies/{loaded.study_id}").status_code == 404
    assert radiologist.request("DELETE", path).status_code == 404


def test_referral_that_ran_out_shows_nothing_and_can_be_given_again(fresh: World) -> None:
    loaded = load_study(fresh, 1)
    referrer, radiologist = by_token(fresh, Role.REFERRER), by_token(fresh, Role.RADIOLOGIST)
    with fresh.acting(Role.RADIOLOGIST) as actor:
        yesterday = ManualClock(SYSTEM_CLOCK.now() - timedelta(days=1))
        refer_study(
            actor=actor, study_id=loaded.study_id, user_id=fresh.users[Role.REFERRER],
            until=SYSTEM_CLOCK.now() - timedelta(seconds=1), clock=yesterday,
        )  # fmt: skip
    assert search(referrer)["count"] == 0
    assert referrer.get(f"/api/v1/studies/{loaded.study_id}").status_code == 404
    assert radiologist.get(f"/api/v1/studies/{loaded.study_id}").json()["referrals"] == []
    assert refer(radiologist, loaded, fresh.users[Role.REFERRER]).status_code == 201
    assert refer(radiologist, loaded, fresh.users[Role.REFERRER]).status_code == 201
    assert search(referrer)["count"] == 1
    assert len(radiologist.get(f"/api/v1/studies/{loaded.study_id}").json()["referrals"]) == 1
    with tenant_scope(fresh.system), unit_of_work():
        assert StudyGrant.objects.count() == 1


def test_study_is_referred_to_referring_physicians_of_the_tenant_only(fresh: World) -> None:
    loaded, stranger = load_study(fresh, 1), make_world()
    radiologist = by_token(fresh, Role.RADIOLOGIST)
    assert refer(radiologist, loaded, fresh.users[Role.REFERRER]).status_code == 201
    answers = [
        refer(radiologist, loaded, person)
        for person in (fresh.users[Role.SURGEON], stranger.users[Role.REFERRER], uuid4())
    ]
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(400, "referral.invalid")] * 3
    assert len({answer.json()["detail"] for answer in answers}) == 1


@pytest.mark.parametrize("days", [-1, 0, 400])
def test_referral_ends_within_a_year(fresh: World, days: int) -> None:
    loaded = load_study(fresh, 1)
    until = (SYSTEM_CLOCK.now() + timedelta(days=days)).isoformat()
    answer = refer(by_token(fresh, Role.RADIOLOGIST), loaded, fresh.users[Role.REFERRER], until=until)
    assert (answer.status_code, answer.json()["code"]) == (400, "referral.invalid")


def test_named_physician_is_a_candidate_until_somebody_confirms(fresh: World) -> None:
    User.objects.filter(pk=fresh.users[Role.REFERRER]).update(name="Dr. Rita Referens")
    loaded = load_study(fresh, 1)
    radiologist, referrer = by_token(fresh, Role.RADIOLOGIST), by_token(fresh, Role.REFERRER)
    (candidate,) = radiologist.get(f"/api/v1/studies/{loaded.study_id}").json()["referral_candidates"]
    assert candidate["person"]["id"] == str(fresh.users[Role.REFERRER])
    assert referrer.get(f"/api/v1/studies/{loaded.study_id}").status_code == 404, "a name alone opens nothing"
    refer(radiologist, loaded, candidate["person"]["id"])
    assert radiologist.get(f"/api/v1/studies/{loaded.study_id}").json()["referral_candidates"] == []


def test_filters_tell_a_referrer_nothing_of_results_they_may_not_see(fresh: World) -> None:
    loaded = load_study(fresh, 12)
    radiologist, referrer = by_token(fresh, Role.RADIOLOGIST), by_token(fresh, Role.REFERRER)
    refer(radiologist, loaded, fresh.users[Role.REFERRER])
    result = analyse(loaded)

    def found(client: Client, **query: Any) -> int:
        return int(search(client, **query)["count"])

    def review(decision: str) -> None:
        path = f"/api/v1/findings/{result.finding_ids[0]}/review"
        assert radiologist.post(path, json={"decision": decision, "reason": "x"}).status_code == 200

    assert found(radiologist, analysis_states=["done"]) == found(radiologist, review_states=["unreviewed"]) == 1
    assert found(referrer, analysis_states=["done"]) == found(referrer, review_states=["unreviewed"]) == 0
    assert found(referrer, analysis_states=["none"]) == found(referrer, review_states=["none"]) == 1
    review("reject")
    assert found(radiologist, review_states=["rejected"]) == 1
    assert found(referrer, review_states=["rejected"]) == found(referrer, analysis_states=["done"]) == 0
    review("accept")
    assert found(referrer, review_states=["accepted"]) == found(referrer, analysis_states=["done"]) == 1
    assert found(referrer, review_states=["none"]) == found(referrer, analysis_states=["none"]) == 0


def test_filter_by_analysis_matches_what_the_row_shows(fresh: World) -> None:
    loaded = load_study(fresh, 12)
    analyse(loaded)
    load_study(fresh, 1, study_uid=loaded.study_uid, series_uid=loaded.series_uid, ImagePositionPatient=[0, 0, 30])
    from analysed import complete, select

    complete(loaded)
    select(loaded)
    client = by_token(fresh, Role.RADIOLOGIST)
    (row,) = search(client)["results"]
    assert row["analysis"]["state"] == "queued"
    assert search(client, analysis_states=["queued"])["count"] == 1
    assert search(client, analysis_states=["done"])["count"] == 0


def test_staff_find_what_was_referred(fresh: World) -> None:
    referred, _ = load_study(fresh, 1), load_study(fresh, 1)
    radiologist = by_token(fresh, Role.RADIOLOGIST)
    refer(radiologist, referred, fresh.users[Role.REFERRER])
    rows = search(radiologist, referred_only=True)
    assert (rows["count"], rows["results"][0]["id"]) == (1, str(referred.study_id))
    assert {row["id"]: row["is_referred"] for row in search(radiologist)["results"]}[str(referred.study_id)]


def test_member_of_one_institution_finds_nothing_of_the_others(fresh: World) -> None:
    with tenant_scope(fresh.system):
        other = create_institution(actor=fresh.system, code="other", name="Other")
        user = User.objects.create(email=f"{uuid4().hex}@x.test", name="Confined")
        add_member(actor=fresh.system, user_id=user.pk, role=Role.RADIOLOGIST, institution_ids=(other.pk,))
    from site_client import sign_in

    here = load_study(fresh, 1)
    confined = Client(fresh.slug, session=sign_in(user.pk))
    assert search(confined)["count"] == 0
    for path in (f"/api/v1/studies/{here.study_id}", f"/dicomweb/studies/{here.study_uid}"):
        assert confined.get(path).status_code == 404
    assert confined.get("/dicomweb/studies").json() == []
    answer = confined.stow([], **{"Gantry-Institution": str(fresh.institution_id)})
    assert answer.status_code == 400
