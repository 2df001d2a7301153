"""ENCODE rows against a local server that plays the portal."""

import http.server
import json
import re
import threading
from urllib.parse import parse_qs, urlsplit

import jsonschema
import pytest
from workflow_tools import ROOT, step

from regdna.manifest import read_yaml
from regdna.sources import encode
from regdna.sources import http as client
from regdna.sources.encode import Portal, confirm, confirm_table, describe, files, read_frozen, resolve, vouch, write_frozen
from regdna.step import InputError

MD5 = "7d086cac19c5311a77b7e21e3d931435"
K562, HEPG2, CTCF = "/biosample-types/cell_line_EFO_0002067/", "/biosample-types/cell_line_EFO_0001187/", "/targets/CTCF-human/"


def portal_file(accession, **changed):
    """A file as the portal's object frame shows it: links are paths."""
    return {
        "@id": f"/files/{accession}/",
        "@type": ["File", "Item"],
        "accession": accession,
        "dataset": "/experiments/ENCSR000AKO/",
        "assembly": "GRCh38",
        "assay_title": "TF ChIP-seq",
        "biosample_ontology": K562,
        "target": CTCF,
        "donors": ["/human-donors/ENCDO000AAL/"],
        "output_type": "conservative IDR thresholded peaks",
        "file_type": "bed narrowPeak",
        "file_size": 919491,
        "md5sum": MD5,
        "preferred_default": True,
        "status": "released",
    } | changed


class Server(http.server.ThreadingHTTPServer):
    """Holds objects by path; `trouble` says how often a path fails first, and how; `hits` are what a search finds."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.objects, self.hits, self.asked, self.trouble = {}, [], [], {}

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def hold(self, *things):
        self.objects |= {thing["@id"]: thing for thing in things}


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        path = urlsplit(self.path).path
        self.server.asked.append(self.path)
        times, status, body = self.server.trouble.get(path, (0, 0, ""))
        if self.server.asked.count(self.path) <= times:
            self.say(status, body)
        elif path == "/search/":
            hits = self.server.hits
            self.say(200 if hits else 404, {"@graph": hits, "total": len(hits)} | ({} if hits else {"notification": "No results found"}))
        elif path in self.server.objects:
            self.say(200, self.server.objects[path])
        else:
            self.say(404, {"@type": ["HTTPNotFound", "Error"], "status": "error", "code": 404, "title": "Not Found"})

    def say(self, status, body):
        body = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(scope="module")
def running():
    one = Server()
    threading.Thread(target=one.serve_forever, daemon=True).start()
    yield one
    one.shutdown()


@pytest.fixture
def server(running):
    running.objects, running.hits, running.asked, running.trouble = {}, [], [], {}
    running.hold(
        {"@id": K562, "term_name": "K562"},
        {"@id": HEPG2, "term_name": "HepG2"},
        {"@id": CTCF, "label": "CTCF"},
        {"@id": "/targets/H3K27ac-human/", "label": "H3K27ac"},
        portal_file("ENCFF769AUF"),
    )
    return running


@pytest.fixture
def portal(server, tmp_path):
    return Portal(tmp_path / "pace", server.address, first_wait=0.01)


def row(accession="ENCFF769AUF", **changed):
    """A frozen row that agrees with ``portal_file``."""
    return {
        "accession": accession,
        "experiment": "ENCSR000AKO",
        "assembly": "hg38",
        "biosample": "K562",
        "assay": "TF ChIP-seq",
        "target": "CTCF",
        "output_type": "conservative IDR thresholded peaks",
        "file_type": "bed narrowPeak",
        "bytes": "",
        "md5": "",
        "preferred": "unknown",
        "status": "unknown",
        "verified": "false",
        "why": "as listed",
    } | changed


FULL = {"bytes": "919491", "md5": MD5, "preferred": "true", "status": "released", "verified": "true"}


class TestTable:
    def test_the_table_in_git_is_one(self):
        table = read_frozen(ROOT / "resources/encode.tsv")
        kinds = {f"{one['biosample']} {one['target'] or one['assay']}" for one in table[table["assembly"] == "hg38"].to_dict("records")}
        cells, kept = ["GM12878", "K562", "HepG2", "H1", "IMR-90"], ["DNase-seq", "H3K27ac", "H3K4me1", "H3K4me3", "CTCF"]
        assert {f"{cell} {what}" for cell in cells for what in kept} <= kinds
        assert (table["assembly"] == "hg19").sum() == 34

    def test_its_entries_are_what_the_sources_may_hold(self):
        schema = read_yaml(ROOT / "rules/schemas/sources.schema.yaml")
        table = read_frozen(ROOT / "resources/encode.tsv")
        source = {"title": "t", "licence": "l", "citation": "c", "origin": "o"}
        content = {f"encode-{one}": source | {"assembly": one, "files": files(table, one)} for one in ("hg19", "hg38")}
        jsonschema.validate(content, schema)
        assert len(content["encode-hg19"]["files"]) + len(content["encode-hg38"]["files"]) == len(table)

    def test_its_hg19_rows_are_the_files_beside_the_checkout(self, shared):
        table = read_frozen(ROOT / "resources/encode.tsv").set_index("accession")
        for path in (shared / "data/annotation/encode_hg19").iterdir():
            found = table.loc[path.name.split("_")[2].partition(".")[0]]
            assert found["assembly"] == "hg19"
            name = path.name.replace("rnapol", "polr2a").lower()
            assert (found["target"] or "dnase").lower() in name

    def test_equal_rows_give_equal_bytes(self, tmp_path):
        rows = [
            row("ENCFF111AAA", biosample="b", why='a "quoted" word'),
            row("ENCFF222AAA", biosample="a"),
            row("ENCFF000AAA", biosample="b"),
        ]
        write_frozen(tmp_path / "a.tsv", rows)
        write_frozen(tmp_path / "b.tsv", read_frozen(tmp_path / "a.tsv").to_dict("records")[::-1])
        assert (tmp_path / "a.tsv").read_bytes() == (tmp_path / "b.tsv").read_bytes()
        table = read_frozen(tmp_path / "a.tsv")
        assert table["accession"].tolist() == ["ENCFF222AAA", "ENCFF000AAA", "ENCFF111AAA"]
        assert table["why"].iloc[2] == 'a "quoted" word'

    def test_the_table_in_git_is_as_it_would_be_written(self, tmp_path):
        frozen = ROOT / "resources/encode.tsv"
        write_frozen(tmp_path / "again.tsv", read_frozen(frozen).to_dict("records"))
        assert (tmp_path / "again.tsv").read_bytes() == frozen.read_bytes()

    @pytest.mark.parametrize(
        ("wrong", "said"),
        [({"accession": "ENCFF12AAA"}, "accession is 'ENCFF12AAA', not an accession such as ENCFF123ABC"),
         ({"accession": "xENCFF123AAA"}, "accession is 'xENCFF123AAA'"), ({"experiment": "ENCFF123AAA"}, "experiment is 'ENCFF123AAA'"),
         ({"assembly": "GRCh38"}, "assembly is 'GRCh38', not hg19 or hg38"), ({"assembly": "xhg38"}, "assembly is 'xhg38'"),
         ({"assembly": "hg19x"}, "assembly is 'hg19x'"),
         ({"verified": "yes"}, "verified is 'yes', not true or false"), ({"preferred": ""}, "preferred is '', not true, false or unknown"),
         ({"file_type": "fastq"}, "file_type is 'fastq'"), ({"bytes": "0"}, "bytes is '0'"), ({"md5": "abc"}, "md5 is 'abc'"),
         ({"status": ""}, "status is ''"), ({"assay": ""}, "assay is ''"), ({"accession": "ENCFF000AAA"}, "ENCFF000AAA is given twice"),
         ({"verified": "true"}, "verified, but without md5 or bytes"), ({"verified": "true", "md5": MD5}, "verified, but without md5")],
    )  # fmt: skip
    def test_a_wrong_value_is_named_with_its_line(self, tmp_path, wrong, said):
        write_frozen(tmp_path / "t.tsv", [row("ENCFF000AAA"), row("ENCFF111AAA"), row("ENCFF222AAA") | wrong])
        lines = (tmp_path / "t.tsv").read_text().splitlines()
        at = lines.index("\t".join((row("ENCFF222AAA") | wrong).values()), 2 if "twice" in said else 0) + 1
        with pytest.raises(InputError) as error:
            read_frozen(tmp_path / "t.tsv")
        assert str(error.value).startswith(f"{tmp_path}/t.tsv: line {at}: {said}")

    def test_a_file_has_the_suffix_of_its_type(self, tmp_path):
        write_frozen(
            tmp_path / "t.tsv", [row("ENCFF000AAA", file_type="bigWig", **FULL), row("ENCFF111AAA"), row("ENCFF222AAA", assembly="hg19")]
        )
        assert files(read_frozen(tmp_path / "t.tsv"), "hg38") == {
            "ENCFF000AAA.bigWig": {
                "url": "https://www.encodeproject.org/files/ENCFF000AAA/@@download/ENCFF000AAA.bigWig", "bytes": 919491, "md5": MD5,
            },
            "ENCFF111AAA.bed.gz": {"url": "https://www.encodeproject.org/files/ENCFF111AAA/@@download/ENCFF111AAA.bed.gz"},
        }  # fmt: skip


class TestResolve:
    def test_a_query_gives_verified_rows(self, server, portal):
        server.hits = [portal_file("ENCFF769AUF")]
        rows, refused = resolve({"target": "CTCF", "assay": "TF ChIP-seq", "biosample": "K562"}, "hg38", portal)
        why = "found by assay TF ChIP-seq, biosample K562, target CTCF, file_type bed narrowPeak"
        assert (rows, refused) == ([row(why=why, **FULL)], [])

    def test_the_search_says_all_that_was_asked(self, server, portal):
        server.hits = [portal_file("ENCFF769AUF")]
        resolve({"biosample": ["K562", "HepG2"], "experiment": "ENCSR000AKO"}, "hg38", portal)
        assert parse_qs(urlsplit(server.asked[0]).query) == {
            "type": ["File"], "assembly": ["GRCh38"], "status": ["released"], "preferred_default": ["true"], "format": ["json"],
            "frame": ["object"], "limit": ["all"], "biosample_ontology.term_name": ["K562", "HepG2"],
            "dataset": ["/experiments/ENCSR000AKO/"], "file_type": ["bed narrowPeak"],
        }  # fmt: skip
        resolve({"biosample": "K562"}, "hg38", portal, any_output=True)
        assert "preferred_default" not in server.asked[-1]

    def test_annotations_are_asked_for_as_such(self, server, portal):
        server.hold({"@id": "/annotations/ENCSR487PRC/", "biosample_ontology": None})
        found = portal_file("ENCFF420VPZ", dataset="/annotations/ENCSR487PRC/", file_type="bed bed9+", output_type=encode.CCRES)
        server.hits = [{name: value for name, value in found.items() if name not in ("biosample_ontology", "target", "assay_title")}]
        rows, refused = resolve({"assay": "annotation", "experiment": "ENCSR487PRC"}, "hg38", portal)
        assert [(one["assay"], one["biosample"], one["target"], one["experiment"]) for one in rows] == [
            ("annotation", "", "", "ENCSR487PRC")
        ]
        asked = parse_qs(urlsplit(server.asked[0]).query)
        assert asked["annotation_type"] == [encode.CCRES] and asked["dataset"] == ["/annotations/ENCSR487PRC/"]
        assert asked["file_format"] == ["bed"] and not {"assay_title", "file_type"} & set(asked)

    def test_rows_come_in_one_order(self, server, portal):
        server.hits = [portal_file("ENCFF333AAA"), portal_file("ENCFF111AAA"), portal_file("ENCFF222AAA", biosample_ontology=HEPG2)]
        rows, _ = resolve({"assay": "TF ChIP-seq"}, "hg38", portal)
        assert [one["accession"] for one in rows] == ["ENCFF222AAA", "ENCFF111AAA", "ENCFF333AAA"]

    def test_an_empty_search_is_no_network_error(self, server, portal):
        with pytest.raises(
            InputError, match=r"no released hg19 file of the portal fits biosample K563, file_type bed narrowPeak; ask for less"
        ):
            resolve({"biosample": "K563"}, "hg19", portal)
        assert len(server.asked) == 1

    def test_another_404_is_not_taken_for_an_empty_search(self, server, portal):
        server.trouble["/search/"] = (9, 404, {"status": "error", "title": "Not Found"})
        with pytest.raises(InputError, match=r"the portal answered 404 \(Not Found\)"):
            resolve({"biosample": "K562"}, "hg38", portal)

    def test_a_query_the_portal_refuses_is_said_with_its_words(self, server, portal):
        server.trouble["/search/"] = (9, 400, {"status": "error", "description": "Invalid type: Fil"})
        with pytest.raises(InputError, match=r"the portal answered 400 \(Invalid type: Fil\)"):
            resolve({"biosample": "K562"}, "hg38", portal)

    @pytest.mark.parametrize("status", [429, 503])
    def test_a_busy_portal_is_asked_again(self, server, portal, status):
        server.trouble["/files/ENCFF769AUF/"] = (2, status, "slow down")
        rows, _ = resolve(["ENCFF769AUF"], "hg38", portal)
        assert [one["why"] for one in rows] == ["asked for by accession"]
        assert sum("/files/" in path for path in server.asked) == 3

    def test_a_page_instead_of_json_is_called_one(self, server, portal):
        server.trouble["/files/ENCFF769AUF/"] = (9, 200, "<!DOCTYPE html><html><body>Please log in</body></html>")
        with pytest.raises(InputError, match=r"HTML page instead of JSON; a proxy"):
            resolve(["ENCFF769AUF"], "hg38", portal)
        assert len(server.asked) == 1

    def test_a_server_out_of_order_is_no_missing_file(self, server, portal):
        server.trouble["/files/ENCFF769AUF/"] = (9, 401, {"status": "error", "description": "log in"})
        with pytest.raises(InputError, match=r"/files/ENCFF769AUF/: the portal answered 401 \(log in\)"):
            resolve(["ENCFF769AUF"], "hg38", portal)

    @pytest.mark.parametrize(
        ("changed", "said"),
        [({"status": "revoked"}, "ENCFF111AAA: revoked on the portal; choose another file"),
         ({"status": "archived", "superseded_by": ["/files/ENCFF999ZZZ/", {"@id": "/files/ENCFF888ZZZ/"}]},
          "ENCFF111AAA: archived on the portal; superseded by ENCFF888ZZZ, ENCFF999ZZZ, take that"),
         ({"assembly": "hg19"}, "ENCFF111AAA: of assembly hg19, not hg38; ask for that one"),
         ({"assembly": "mm10", "donors": [{"@id": "/mouse-donors/ENCDO000MMM/"}]}, "ENCFF111AAA: not human (/mouse-donors/ENCDO000MMM/)"),
         ({"preferred_default": False},
          "ENCFF111AAA: 'conservative IDR thresholded peaks' is not the output that the portal prefers; take it with --any-output true"),
         ({"file_type": "fastq"}, "ENCFF111AAA: file type 'fastq' is none of bed, bigBed, bigWig"),
         ({"md5sum": ""}, "ENCFF111AAA: the portal states no md5 or no size of it"),
         ({"accession": "ENCFF222BBB"}, "ENCFF111AAA: replaced by ENCFF222BBB on the portal; take that")],
    )  # fmt: skip
    def test_a_file_that_cannot_be_taken_is_refused_in_a_line(self, server, portal, changed, said):
        server.objects["/files/ENCFF111AAA/"] = portal_file("ENCFF111AAA") | changed
        rows, refused = resolve(["ENCFF111AAA", "ENCFF769AUF"], "hg38", portal)
        assert refused == [said]
        assert [one["accession"] for one in rows] == ["ENCFF769AUF"]

    def test_what_is_not_preferred_is_taken_on_demand(self, server, portal):
        thing = portal_file("ENCFF111AAA")
        del thing["preferred_default"]
        server.hold(thing)
        assert len(resolve(["ENCFF111AAA"], "hg38", portal)[1]) == 1
        rows, refused = resolve(["ENCFF111AAA"], "hg38", portal, any_output=True)
        assert [one["preferred"] for one in rows] == ["false"] and not refused

    def test_a_file_that_is_not_there_is_said_to_be(self, server, portal):
        server.trouble["/files/ENCFF111AAA/"] = (9, 403, {"status": "error", "title": "Forbidden"})
        lines = resolve(["ENCFF111AAA", "ENCFF000ZZZ"], "hg38", portal)[1]
        assert [line.partition(";")[0] for line in lines] == [
            f"{one}: the portal shows no such file" for one in ("ENCFF000ZZZ", "ENCFF111AAA")
        ]

    def test_a_hit_beside_the_query_is_refused(self, server, portal):
        server.hits = [portal_file("ENCFF769AUF"), portal_file("ENCFF111AAA", biosample_ontology=HEPG2)]
        rows, refused = resolve({"biosample": "K562"}, "hg38", portal)
        assert [one["accession"] for one in rows] == ["ENCFF769AUF"]
        assert refused == ["ENCFF111AAA: biosample is 'HepG2', not K562 as asked"]

    def test_a_file_of_another_archive_is_refused(self, server, portal):
        thing = portal_file("SRR1234567")
        del thing["accession"]
        server.hits = [thing]
        assert resolve({"biosample": "K562"}, "hg38", portal) == ([], ["SRR1234567: has no accession of the portal; it is kept elsewhere"])

    @pytest.mark.parametrize(
        ("asked", "assembly", "said"),
        [({}, "hg38", "query: empty"), ({"cell": "K562"}, "hg38", "'cell' is none of .* did you mean"),
         ({"biosample": "K562"}, "GRCh38", "'GRCh38' is none of hg19, hg38; did you mean 'hg38'"),
         (["ENCFF1"], "hg38", "'ENCFF1' is not one")],
    )  # fmt: skip
    def test_a_question_that_is_none_is_not_asked(self, server, portal, asked, assembly, said):
        with pytest.raises(InputError, match=said):
            resolve(asked, assembly, portal)
        assert not server.asked


class TestDescribe:
    def test_both_frames_give_one_row(self, server, portal):
        embedded = portal_file(
            "ENCFF769AUF",
            dataset={"@id": "/experiments/ENCSR000AKO/"},
            biosample_ontology={"@id": K562, "term_name": "K562"},
            target={"@id": CTCF, "label": "CTCF"},
        )
        assert describe(embedded, portal) == describe(portal_file("ENCFF769AUF"), portal) == row(why="", **FULL)
        assert [urlsplit(path).path for path in server.asked] == [K562, CTCF]

    def test_what_a_file_does_not_state_its_experiment_does(self, server, portal):
        server.hold({"@id": "/experiments/ENCSR000AKO/", "assay_title": "TF ChIP-seq", "biosample_ontology": {"@id": K562}, "target": CTCF})
        bare = {
            name: value for name, value in portal_file("ENCFF769AUF").items() if name not in ("assay_title", "biosample_ontology", "target")
        }
        assert describe(bare, portal) == row(why="", **FULL)

    def test_dnase_has_no_target(self, server, portal):
        server.hold({"@id": "/experiments/ENCSR000AKO/", "assay_title": "DNase-seq", "biosample_ontology": K562})
        thing = portal_file("ENCFF769AUF", assay_title="DNase-seq", target=None)
        assert describe(thing, portal)["target"] == ""

    def test_one_thing_is_asked_for_once(self, server, portal):
        server.hits = [portal_file(f"ENCFF{n}AAA") for n in range(100, 120)]
        resolve({"biosample": "K562"}, "hg38", portal)
        assert len(server.asked) == 3

    def test_every_request_keeps_the_pace(self, server, portal, tmp_path, monkeypatch):
        monkeypatch.setitem(client.PACE, "127.0.0.1", 50.0)
        gate, passed = client._keep_pace, []
        monkeypatch.setattr(client, "_keep_pace", lambda url, folder: (passed.append(folder), gate(url, folder)))
        server.trouble[K562] = (1, 503, "")
        resolve(["ENCFF769AUF"], "hg38", portal)
        assert passed == [tmp_path / "pace"] * len(server.asked) and len(passed) == 4
        assert (tmp_path / "pace/.127.0.0.1.pace").is_file()


class TestConfirm:
    def test_unknown_fields_agree_with_anything(self):
        assert confirm(row(biosample="", target="", output_type="", experiment=""), row(**FULL)) == []

    @pytest.mark.parametrize(
        ("here", "there", "said"),
        [({}, {"assembly": "hg19"}, "assembly: hg38 here, hg19 on the portal"),
         ({}, {"status": "revoked"}, "status: released here, revoked on the portal"),
         ({"status": "archived"}, {}, "status: archived here, released on the portal"),
         ({}, {"target": "RAD21"}, "target: CTCF here, RAD21 on the portal"),
         ({"target": "x"}, {"target": ""}, "target: x here, nothing on the portal"),
         ({}, {"biosample": "HepG2"}, "biosample: K562 here, HepG2 on the portal"),
         ({}, {"output_type": "peaks"}, "output_type: .* here, peaks on the portal"),
         ({"md5": "0" * 32}, {}, f"md5: 0* here, {MD5} on the portal"), ({"bytes": "7"}, {}, "bytes: 7 here, 919491 on the portal"),
         ({}, {"experiment": "ENCSR000ZZZ"}, "experiment: ENCSR000AKO here"), ({}, {"assay": "DNase-seq"}, "assay: TF ChIP-seq here"),
         ({"preferred": "true"}, {"preferred": "false"}, "preferred: true here"), ({}, {"md5": ""}, "md5: the portal states none"),
         ({}, {"bytes": ""}, "bytes: the portal states none"), ({}, {"accession": "ENCFF999ZZZ"}, "accession: replaced by ENCFF999ZZZ")],
    )  # fmt: skip
    def test_each_difference_is_named(self, here, there, said):
        (line,) = confirm(row() | here, row(**FULL) | there)
        assert re.match(said, line)

    def test_rows_that_agree_are_completed_and_the_others_are_not(self, server, portal, tmp_path):
        server.hold(
            portal_file("ENCFF111AAA", status="revoked", superseded_by=["/files/ENCFF999ZZZ/"]),
            portal_file("ENCFF222AAA", target="/targets/H3K27ac-human/", file_size=5),
        )
        frozen = [row(), row("ENCFF111AAA"), row("ENCFF222AAA", **FULL), row("ENCFF333AAA")]
        write_frozen(tmp_path / "t.tsv", frozen)
        done = []
        rows, lines = confirm_table(read_frozen(tmp_path / "t.tsv"), portal, done.append)
        assert {one["accession"]: one for one in rows} == {
            "ENCFF769AUF": row(**FULL), "ENCFF111AAA": frozen[1],
            "ENCFF222AAA": frozen[2] | {"verified": "false"}, "ENCFF333AAA": frozen[3],
        }  # fmt: skip
        assert lines == [
            "ENCFF111AAA: status: released here, revoked on the portal",
            "ENCFF111AAA: superseded_by: ENCFF999ZZZ, take that",
            "ENCFF222AAA: target: CTCF here, H3K27ac on the portal",
            "ENCFF222AAA: bytes: 919491 here, 5 on the portal",
            "ENCFF333AAA: the portal shows no such file",
        ]
        assert done == [1, 2, 3, 4]


class TestVouch:
    def test_a_row_that_is_not_verified_is_completed_from_the_portal(self, server, tmp_path):
        url = f"{server.address}/files/ENCFF769AUF/@@download/ENCFF769AUF.bed.gz"
        assert vouch(row(), tmp_path, server.address) == {"url": url, "bytes": 919491, "md5": MD5}
        assert server.asked

    def test_a_verified_row_needs_no_portal(self, tmp_path):
        assert vouch(row(**FULL), tmp_path, "http://127.0.0.1:9")["md5"] == MD5

    def test_a_row_the_portal_contradicts_is_refused_in_one_line(self, server, tmp_path):
        server.hold(portal_file("ENCFF769AUF", status="revoked", assembly="hg19"))
        with pytest.raises(InputError) as error:
            vouch(row(), tmp_path, server.address)
        differences = "assembly: hg38 here, hg19 on the portal; status: released here, revoked on the portal"
        assert str(error.value) == f"ENCFF769AUF: {differences}; correct resources/encode.tsv"


class TestScript:
    """workflow_scripts/resolve.py as a user runs it."""

    def run(self, server, tmp_path, **arguments):
        step("resolve").main(table=tmp_path / "encode.tsv", base=server.address, pace=tmp_path / "pace", **arguments)

    def rows(self, tmp_path) -> dict:
        return {one["accession"]: one for one in read_frozen(tmp_path / "encode.tsv").to_dict("records")}

    def test_it_adds_rows_and_replaces_those_that_are_there(self, server, tmp_path, capsys):
        write_frozen(tmp_path / "encode.tsv", [row(), row("ENCFF000AAA", biosample="A549")])
        server.hold(portal_file("ENCFF111AAA"))
        self.run(server, tmp_path, assembly="hg38", accessions=["ENCFF769AUF", "ENCFF111AAA", "ENCFF111AAA"])
        assert list(self.rows(tmp_path)) == ["ENCFF000AAA", "ENCFF111AAA", "ENCFF769AUF"]
        assert self.rows(tmp_path)["ENCFF769AUF"] == row(why="asked for by accession", **FULL)
        assert capsys.readouterr().out.splitlines() == [
            "added ENCFF111AAA hg38 K562 TF ChIP-seq CTCF conservative IDR thresholded peaks",
            "replaced ENCFF769AUF hg38 K562 TF ChIP-seq CTCF conservative IDR thresholded peaks",
        ]
        before = (tmp_path / "encode.tsv").read_bytes()
        self.run(server, tmp_path, assembly="hg38", accessions=["ENCFF111AAA"])
        assert (tmp_path / "encode.tsv").read_bytes() == before

    def test_a_query_begins_a_table(self, server, tmp_path):
        server.hits = [portal_file("ENCFF769AUF")]
        self.run(server, tmp_path, assembly="hg38", query={"biosample": "K562"})
        assert list(self.rows(tmp_path)) == ["ENCFF769AUF"]

    def test_what_is_refused_is_said_and_the_rest_is_kept(self, server, tmp_path, capsys):
        server.hold(portal_file("ENCFF111AAA", status="revoked"))
        with pytest.raises(InputError, match="files refused: 1 .*; what was found is in the table"):
            self.run(server, tmp_path, assembly="hg38", accessions=["ENCFF769AUF", "ENCFF111AAA"])
        assert "ENCFF111AAA: revoked on the portal" in capsys.readouterr().out
        assert list(self.rows(tmp_path)) == ["ENCFF769AUF"]

    def test_confirming_writes_what_agrees_and_fails_on_the_rest(self, server, tmp_path, capsys):
        write_frozen(tmp_path / "encode.tsv", [row(), row("ENCFF111AAA", md5="0" * 32)])
        server.hold(portal_file("ENCFF111AAA"))
        with pytest.raises(InputError, match="files that disagree with the portal: 1 "):
            self.run(server, tmp_path, confirm=True)
        assert {name: one["verified"] for name, one in self.rows(tmp_path).items()} == {"ENCFF111AAA": "false", "ENCFF769AUF": "true"}
        assert f"ENCFF111AAA: md5: {'0' * 32} here, {MD5} on the portal" in capsys.readouterr().out
        write_frozen(tmp_path / "encode.tsv", [row()])
        self.run(server, tmp_path, confirm=True)

    @pytest.mark.parametrize(
        "arguments", [{}, {"confirm": True, "accessions": ["ENCFF769AUF"]}, {"query": {"biosample": "K562"}, "accessions": []}]
    )
    def test_it_does_one_thing_at_a_time(self, server, tmp_path, arguments):
        with pytest.raises(InputError, match="exactly one of"):
            self.run(server, tmp_path, assembly="hg38", **arguments)
