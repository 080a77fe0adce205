"""What the tests of the house share: both shipped reviews, a small one to break, and a browser."""

from __future__ import annotations

import csv
import io
import os
import runpy
import time
from pathlib import Path

import pytest
from hypothesis import settings

# The same examples each time, so that a green commit stays green; HYPOTHESIS_PROFILE=explore draws new ones.
settings.register_profile("project", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "project"))

ROOT = Path(__file__).parents[1]
REVIEWS = ROOT / "reviews"

SMALL = {
    "review.yaml": """\
comfrey: 1
id: small
title: A small review
version: "1"
updated: 2026-01-02
content: self_injury
helplines: helplines.yaml
vocabularies:
  region: {north: the North, south: the South, west: the West}
  recall: {lifetime: lifetime, 12_month: past 12 months, other: another recall period}
  form: {hitting: hitting, biting: biting, other: other forms}
  denominator: {people_with_nssi: of people who self-injure, whole_sample: of the whole sample}
  setting: {community: community, clinical: clinical}
flags: {odd: something odd, later: later follow-up, sign_inconsistent: printed sign and interval disagree}
tables:
  studies: {file: studies.csv, type: studies, columns: {quality: number}}
  prevalence: {file: prevalence.csv, type: proportions, columns: {region: region, recall: recall, setting: setting}}
  forms: {file: forms.csv, type: proportions, columns: {category: form, denominator: denominator}}
  treatments: {file: treatments.csv, type: treatments}
  arms: {file: arms.csv, type: arms}
  contrasts: {file: contrasts.csv, type: contrasts}
  claims: {file: claims.csv, type: claims}
  precautions: {file: precautions.csv, type: precautions}
  mechanisms: {file: mechanisms.csv, type: associations}
questions:
  - id: prevalence
    kind: prevalence
    title: How common is it?
    table: prevalence
    what: people asked
    population: people asked
    by: region
    order: [north, south, west]
    split: recall
    splits: [lifetime, 12_month]
    overall: World
    one_per: sample
    two_studies: normal
    sentence: "In {group}, {share} report it {split}."
    phrases: {all: all regions together, lifetime: ever, 12_month: in the past 12 months}
    eligible:
      - {id: setting, column: setting, is: [community], reason: "not a community sample"}
    sensitivity:
      - {id: clinical, label: Clinical samples taken in, why: They may differ., without: [setting]}
      - {id: any-recall, label: Any recall, why: Many do not say., merge_splits: true}
      - {id: freeman-tukey, label: Another scale, why: Others use it., measure: PFT}
  - id: forms
    kind: distribution
    title: Which forms?
    table: forms
    what: people who self-injure
    population: people who self-injure
    by: category
    order: [hitting, biting, other]
    split: denominator
    splits: [people_with_nssi]
    one_per: sample
    sentence: "{group}: {share} {split}."
  - id: treatments
    kind: treatments
    title: What helps?
    arms: arms
    contrasts: contrasts
    treatments: treatments
    claims: claims
    precautions: precautions
    outcome: relapse
    outcome_label: relapse
    measure: OR
    at_weeks: 52
    two_studies: normal
    merge:
      - {id: usual_care, label: Usual care, of: [tau, euc], reason: two names for one thing.}
    directions:
      - {outcome: frequency, label: frequency}
    counted:
      - {id: sound, column: flags, lacks: [odd], reason: "{value}"}
    sensitivity:
      - id: randomised
        label: Randomised only
        why: Others may be biased.
        also:
          - {id: randomised, column: design, is: [rct], reason: not randomised}
  - id: mechanisms
    kind: mechanisms
    title: What drives it?
    table: mechanisms
    comparison: in cases compared with others
    counterpart: Relief is brief; the distress comes back.
    pool_within: [comparator]
    order:
      - {id: cortisol, label: Cortisol}
      - {id: pain, label: Pain}
      - {id: habit, label: Habit}
""",
    "helplines.yaml": """\
checked: 2026-01-01
how_checked: read on the services' own pages
lines:
  - {country: INT, where: Anywhere, name: A directory, reach: example.org}
""",
    "studies.csv": """\
study,label,year,source,design,quality,flags
alpha_2001,Alpha 2001,2001,ref:Alpha A. Journal 2001;1:1,rct,3,
beta_2002,Beta 2002,2002,doi:10.1000/beta,rct,2,
gamma_2003,Gamma 2003,2003,pmid:12345678,survey,1,
delta_2004,Delta 2004,2004,registry:NCT00000000,nonrandomised_trial,,
""",
    "prevalence.csv": """\
row,study,sample,countries,region,recall,setting,total,cases,proportion,flags,derivation,source
p1,alpha_2001,s1,NOR,north,lifetime,community,100,20,0.2,,,
p2,beta_2002,s2,SWE,north,lifetime,community,200,30,0.15,,,
p3,gamma_2003,s3,DNK,north,lifetime,community,300,75,0.25,,,
p4,delta_2004,s4,AUS,south,lifetime,community,50,10,0.2,,,
p5,alpha_2001,s1,NOR,north,12_month,community,100,10,0.1,,,
p6,gamma_2003,s5,NOR,north,lifetime,clinical,40,30,0.75,,,
""",
    "forms.csv": """\
row,study,sample,category,denominator,total,cases,flags,countries,proportion,derivation,source
f1,alpha_2001,s1,hitting,people_with_nssi,20,8,,,,,
f2,beta_2002,s2,hitting,people_with_nssi,30,15,,,,,
f3,alpha_2001,s1,biting,people_with_nssi,20,2,,,,,
""",
    "treatments.csv": """\
treatment,label,category,components,role
dbt,DBT skills,Talking,,active
cbt,Cognitive therapy,Talking,,active
drug,The drug,Drugs,,active
tau,Treatment as usual,Control,,control
euc,Enhanced usual care,Control,,control
""",
    "arms.csv": """\
row,study,arm,treatment,outcome,weeks,total,events,flags,derivation,source
a1,alpha_2001,a,dbt,relapse,52,50,10,,,
a2,alpha_2001,b,tau,relapse,52,50,20,,,
a3,beta_2002,a,dbt,relapse,40,60,12,,,
a4,beta_2002,b,euc,relapse,40,60,21,,,
a5,delta_2004,a,dbt,relapse,52,30,0,,,
a6,delta_2004,b,tau,relapse,52,30,4,,,
""",
    "contrasts.csv": """\
row,study,treatment,comparator,outcome,weeks,measure,estimate,ci_low,ci_high,direction,flags,derivation,source
c1,alpha_2001,dbt,tau,frequency,52,SMD,-0.4,-0.8,0.0,favours_treatment,,,
c2,beta_2002,dbt,euc,frequency,40,none,,,,no_clear_difference,,,
c3,delta_2004,dbt,,frequency,12,none,,,,favours_treatment,,,
c4,delta_2004,cbt,tau,frequency,12,none,,,,favours_comparator,odd,,
""",
    "claims.csv": """\
claim,position,category,intervention,treatments,mechanism,printed_effect,mechanism_limits
k1,1,Talking,DBT,dbt,It trains skills.,It helps.,
k2,2,Talking,CBT,cbt,It changes thoughts.,It may help.,
k3,3,Drugs,The drug,drug,It acts on receptors.,It helps much.,
""",
    "precautions.csv": """\
rule,treatments,kind,severity,message,source,condition,flags
q1,drug,monitoring,monitor,Watch the liver.,ref:A label,,
q2,drug,boxed_warning,major,Not below 18 years.,ref:A label,,
""",
    "mechanisms.csv": """\
row,study,topic,comparator,total_cases,total_controls,measure,estimate,ci_low,ci_high,direction,level,flags,population,derivation,source
m1,alpha_2001,cortisol,healthy,20,22,SMD,-0.5,-1.1,0.1,lower,primary,,,,
m2,beta_2002,cortisol,healthy,30,31,t,-2.1,,,lower,primary,,,,
m3,gamma_2003,cortisol,healthy,,,none,,,,no_difference,meta_analysis,,,,
m4,alpha_2001,pain,healthy,20,22,none,,,,higher,primary,,,,
""",
}


class Folder:
    """A review folder that a test may change before it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, name: str, content: str | bytes) -> Folder:
        data = content if isinstance(content, bytes) else content.encode()
        (self.path / name).write_bytes(data)
        return self

    def text(self, name: str) -> str:
        return (self.path / name).read_text(encoding="utf-8")

    def edit(self, name: str, old: str, new: str) -> Folder:
        """Replace the first occurrence of a text that must be there."""
        text = self.text(name)
        assert old in text, f"{old!r} is not in {name}"
        return self.write(name, text.replace(old, new, 1))

    def rows(self, name: str) -> list[list[str]]:
        """Return the cells of a table, its header first."""
        return list(csv.reader(io.StringIO((self.path / name).read_bytes().decode(), newline="")))

    def cell(self, name: str, line: int, column: str, value: str) -> Folder:
        """Set one cell; lines are counted as an editor does, where no cell holds a line break."""
        rows = self.rows(name)
        if column not in rows[0]:
            rows[0].append(column)
            for row in rows[1:]:
                row.append("")
        rows[line - 1][rows[0].index(column)] = value
        buffer = io.StringIO()
        broken = any(sign in text for row in rows for text in row for sign in "\r\n")
        quoting = csv.QUOTE_ALL if broken else csv.QUOTE_MINIMAL  # a lone carriage return is not quoted otherwise
        csv.writer(buffer, lineterminator="\n", quoting=quoting).writerows(rows)
        return self.write(name, buffer.getvalue())

    def line_of(self, name: str, part: str) -> int:
        """Return the line in which a text begins."""
        text = self.text(name)
        return text[: text.index(part)].count("\n") + 1

    def add(self, name: str, *lines: str) -> Folder:
        """Add rows; what is left out at the end of a line is empty."""
        width = len(self.rows(name)[0])
        full = (line + "," * (width - len(next(csv.reader([line])))) for line in lines)
        return self.write(name, self.text(name) + "".join(f"{line}\n" for line in full))

    def problems(self):
        from comfrey import check_review

        return check_review(self.path)

    def review(self):
        from comfrey import read_review

        return read_review(self.path)

    def answers(self):
        from comfrey import answer

        return answer(self.review())

    def files(self) -> dict[str, bytes]:
        return contents(self.path)


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file of a folder, hidden ones too."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture
def small(tmp_path):
    """A small review without a problem, to be broken."""
    folder = tmp_path / "small"
    folder.mkdir()
    made = Folder(folder)
    for name, text in SMALL.items():
        made.write(name, text)
    return made


@pytest.fixture
def starter(tmp_path):
    """The review that `comfrey new` writes: three trials and one figure, quick to build."""
    from comfrey.review.starter import write_starter

    write_starter(tmp_path / "mine")
    return Folder(tmp_path / "mine")


@pytest.fixture(scope="session")
def nssi():
    from comfrey import read_review

    return read_review(REVIEWS / "nssi")


@pytest.fixture(scope="session")
def nssi_answers(nssi):
    from comfrey import answer

    return answer(nssi)


@pytest.fixture(scope="session")
def bcg():
    from comfrey import read_review

    return read_review(REVIEWS / "bcg")


@pytest.fixture(scope="session")
def bcg_answers(bcg):
    from comfrey import answer

    return answer(bcg)


def _built(name: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a shipped review once for all workers: the first one to come builds, the others wait."""
    from comfrey import build_review

    base = tmp_path_factory.getbasetemp()
    shared = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    target, claim = shared / f"built-{name}", shared / f"built-{name}.claimed"
    try:
        claim.mkdir()
    except FileExistsError:
        for _ in range(1200):
            if (target / "index.html").exists():
                return target
            time.sleep(0.1)
        pytest.fail(f"the build of {name} in another worker did not end")
    build_review(REVIEWS / name, target)
    return target


@pytest.fixture(scope="session")
def nssi_build(tmp_path_factory):
    return _built("nssi", tmp_path_factory)


@pytest.fixture(scope="session")
def bcg_build(tmp_path_factory):
    return _built("bcg", tmp_path_factory)


@pytest.fixture(scope="session")
def chromium_path():
    find = runpy.run_path(str(Path(__file__).with_name("chromium.py")))["find_chromium"]
    found = find()
    if found is None:
        words = "NO CHROMIUM WAS FOUND: the page is not tested. `sh scripts/browser.sh` installs one."
        if os.environ.get("CI"):
            pytest.fail(words)
        pytest.skip(words)
    return found


@pytest.fixture(scope="session")
def browser(chromium_path):
    from playwright.sync_api import sync_playwright

    quiet = (
        "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run",
        "--disable-component-update", "--disable-sync", "--disable-quic",
    )  # fmt: skip
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=chromium_path, args=list(quiet))
        yield chromium
        chromium.close()
