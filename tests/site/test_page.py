"""The page in a browser: phone and desk, light and dark, with script and without, and kind in its words."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

pytestmark = pytest.mark.browser

WIDTHS = (390, 1280)
ALLOWED = ("doi.org", "pubmed.ncbi.nlm.nih.gov", "pmc.ncbi.nlm.nih.gov", "clinicaltrials.gov", "www.isrctn.com")
OPEN_ALL = "document.querySelectorAll('details').forEach(d => d.open = true)"


@pytest.fixture(scope="session")
def open_page(browser, nssi_build):
    """Open the built page at a width once, and note what it asks for and what it complains of."""
    kept = {}

    def opened(width=1280, **options):
        key = (width, *sorted(options.items()))
        if key not in kept:
            context = browser.new_context(viewport={"width": width, "height": 844}, **options)
            page = context.new_page()
            page.asked, page.complaints = [], []
            page.on("request", lambda request: page.asked.append(request.url))
            page.on("console", lambda message: page.complaints.append(f"{message.type}: {message.text}"))
            page.on("pageerror", lambda error: page.complaints.append(str(error)))
            page.goto((nssi_build / "index.html").as_uri())
            kept[key] = page
        return kept[key]

    yield opened
    for page in kept.values():
        page.context.close()


@pytest.fixture(params=WIDTHS)
def page(request, open_page):
    return open_page(request.param)


def test_the_page_opens_from_the_file_system_and_asks_for_nothing_else(page):
    assert page.title()
    assert page.asked
    assert {url.split(":")[0] for url in page.asked} <= {"file", "data"}
    assert [url for url in page.asked if url.startswith("file:")] == [page.url.split("#")[0]]
    assert page.complaints == []


def test_the_body_is_not_wider_than_the_window_with_everything_open(page):
    page.evaluate(OPEN_ALL)
    widths = page.evaluate("[document.documentElement.scrollWidth, document.body.scrollWidth, innerWidth]")
    assert max(widths[:2]) <= widths[2]


def test_nothing_stands_outside_the_window_but_in_frames_that_scroll(page):
    page.evaluate(OPEN_ALL)
    outside = page.evaluate("""() => [...document.querySelectorAll('body *')].filter(e => {
        if (e.closest('.table-frame, .wide, .skip, thead, svg')) return false;
        const r = e.getBoundingClientRect();
        return r.width && (r.right > innerWidth + 1 || r.left < -1);
    }).map(e => e.tagName + '.' + e.className + ': ' + e.textContent.slice(0, 60))""")
    assert outside == []


def test_no_text_is_cut(page):
    page.evaluate(OPEN_ALL)
    cut = page.evaluate("""() => [...document.querySelectorAll('body *')].filter(e => {
        if (e.closest('svg') || e.matches('.table-frame, .wide, thead, thead *')) return false;
        const style = getComputedStyle(e);
        if (style.display === 'inline' || style.display === 'none') return false;
        return e.clientWidth && e.scrollWidth > e.clientWidth + 1
            || style.overflowY === 'hidden' && e.scrollHeight > e.clientHeight + 1;
    }).map(e => `${e.tagName}.${e.className} ${e.scrollWidth} > ${e.clientWidth}: ${e.textContent.slice(0, 60)}`)""")
    assert cut == []


def test_no_text_of_a_figure_is_cut_or_lies_on_another(page):
    page.evaluate(OPEN_ALL)
    bad = page.evaluate("""() => [...document.querySelectorAll('svg')].flatMap(svg => {
        const frame = svg.getBoundingClientRect();
        if (!frame.width) return [];
        const texts = [...svg.querySelectorAll('text')].map(t => [t.textContent.trim(), t.getBoundingClientRect()])
            .filter(([text, box]) => text && box.width);
        const name = svg.getAttribute('aria-labelledby') || svg.getAttribute('aria-label').slice(0, 40);
        const cut = texts.filter(([, b]) => b.left < frame.left - 2 || b.right > frame.right + 2
            || b.top < frame.top - 4 || b.bottom > frame.bottom + 2).map(([text]) => `${name}: cut: ${text}`);
        const over = [];
        texts.forEach(([one, a], i) => texts.slice(i + 1).forEach(([two, b]) => {
            const x = Math.min(a.right, b.right) - Math.max(a.left, b.left);
            const y = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
            if (x > 2 && y > Math.min(a.height, b.height) * 0.45) over.push(`${name}: ${one} on ${two}`);
        }));
        return [...cut, ...over];
    })""")
    assert bad == [], "\n".join(bad)


def test_text_of_figures_is_large_enough_to_read_on_a_phone(open_page):
    page = open_page(390)
    small = page.evaluate("""() => [...document.querySelectorAll('.narrow text')].map(t =>
        [t.textContent.trim(), t.getBoundingClientRect().height])
        .filter(([text, high]) => text && high && high < 10)""")
    assert small == []


def test_there_are_five_answers_each_with_its_certainty_and_a_way_to_the_studies(page):
    cards = page.locator("#answers .card")
    assert cards.count() == 5
    for card in cards.all():
        assert card.locator(".sentence").inner_text().strip()
        assert "not yet assessed" in card.inner_text()
        target = card.locator("a", has_text="How we know").get_attribute("href")
        assert page.locator(target).count() == 1


def test_the_help_box_stands_before_the_answers_with_its_lines_and_its_date(page, nssi):
    box = page.locator("aside.help")
    assert box.count() == 1
    assert box.bounding_box()["y"] < page.locator("#answers").bounding_box()["y"]
    text = box.inner_text()
    for line in nssi.helplines.lines:
        assert line.reach in text
        assert line.where in text
    assert str(nssi.helplines.checked.year) in text
    assert "emergency" in text


def test_the_eight_treatments_are_all_there_with_every_part(page, nssi_answers):
    rows = page.locator("table.treatments tbody tr:not(.category)")
    assert rows.count() == 8
    for row, answer in zip(rows.all(), nssi_answers.treatments, strict=True):
        assert row.get_attribute("id") == answer.claim
        text = row.inner_text()
        assert answer.intervention in text
        assert answer.mechanism in text
        assert answer.verdict in text
        assert "not yet assessed" in text
        assert row.locator(".precautions li").count() == len(answer.precautions) > 0
        assert answer.untried is None or answer.untried in text
        for shown in ("How it may work", "What trials here show", "How sure", "Precautions"):
            assert row.locator(f"td[data-head='{shown}']").inner_text().strip()


def test_on_a_phone_each_treatment_is_a_card_with_the_names_of_its_columns(open_page):
    page = open_page(390)
    assert page.evaluate("getComputedStyle(document.querySelector('table.treatments td')).display") == "block"
    shown = page.evaluate("getComputedStyle(document.querySelector('table.treatments td'), '::before').content")
    assert shown == '"How it may work"'
    assert page.evaluate("document.querySelector('.table-frame:has(.treatments)').scrollWidth <= innerWidth")


def test_every_figure_has_a_table_twin_and_files_that_exist(open_page, nssi_build):
    page = open_page(1280)
    figures = page.locator("figure")
    assert figures.count() >= 4
    for links in page.evaluate(
        """[...document.querySelectorAll('figure')]
        .map(f => [...f.querySelectorAll('.twin a')].map(a => a.getAttribute('href')))"""
    ):
        assert [link.rsplit(".", 1)[1] for link in links] == ["csv", "svg", "png"]
        assert all((nssi_build / link).is_file() for link in links), links


def test_ids_are_unique_and_links_within_the_page_lead_somewhere(open_page):
    page = open_page(1280)
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert sorted(ids) == sorted(set(ids))
    inner = page.evaluate("[...document.querySelectorAll('a[href^=\"#\"]')].map(a => a.getAttribute('href').slice(1))")
    assert set(inner) <= set(ids)
    named = page.evaluate(
        "[...document.querySelectorAll('[aria-labelledby]')].flatMap(e => e.getAttribute('aria-labelledby').split(' '))"
    )
    assert set(named) <= set(ids)


def test_files_that_the_page_links_to_are_there(open_page, nssi_build):
    links = open_page(1280).evaluate("[...document.querySelectorAll('a')].map(a => a.getAttribute('href'))")
    local = {link for link in links if not link.startswith(("#", "http"))}
    assert local
    assert [link for link in sorted(local) if not (nssi_build / link).exists()] == []


def test_links_lead_out_only_to_sources_help_lines_and_the_way_to_leave(open_page, nssi):
    page = open_page(1280)
    helps = {line.url for line in nssi.helplines.lines}
    for link, rel, place in page.evaluate(
        "[...document.querySelectorAll('a[href^=http]')].map(a => [a.getAttribute('href'), a.rel, a.className])"
    ):
        host = re.sub(r"^https://([^/]+)/.*$", r"\1", link)
        assert "noreferrer" in rel
        assert host in ALLOWED or link in helps or place == "leave", link
    leave = page.locator("a.leave")
    assert leave.count() == 1
    assert leave.is_visible()


def test_headings_go_down_step_by_step_from_one_title(open_page):
    levels = open_page(1280).evaluate("[...document.querySelectorAll('h1,h2,h3,h4,h5,h6')].map(h => +h.tagName[1])")
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_every_picture_has_a_name_and_the_page_its_language_and_landmarks(open_page):
    page = open_page(1280)
    nameless = page.evaluate("""() => [...document.querySelectorAll('svg, img')].filter(e => {
        const by = e.getAttribute('aria-labelledby');
        const text = by ? by.split(' ').map(id => document.getElementById(id).textContent).join(' ')
            : e.getAttribute('aria-label') || e.getAttribute('alt') || '';
        return e.getAttribute('role') !== 'img' && e.tagName !== 'IMG' || !text.trim();
    }).map(e => e.outerHTML.slice(0, 80))""")
    assert nameless == []
    assert page.locator("html").get_attribute("lang") == "en"
    for landmark in ("main", "nav", "header", "footer"):
        assert page.locator(landmark).count() == 1
    frames = page.evaluate("[...document.querySelectorAll('.table-frame')].map(f => [f.tabIndex, f.ariaLabel])")
    assert all(tab == 0 and name for tab, name in frames)


def test_tables_have_heads_for_columns_and_rows(open_page):
    bad = open_page(1280).evaluate("""() => [...document.querySelectorAll('table')].filter(t =>
        !t.querySelector('thead th[scope=col]')
        || [...t.querySelectorAll('tbody tr')].some(r => !r.querySelector('th[scope]'))).length""")
    assert bad == 0


def test_without_script_the_page_is_whole_and_details_open_by_a_click(open_page):
    page = open_page(1280, java_script_enabled=False)
    assert page.locator("#answers .card").count() == 5
    first = page.locator("details.finding").first
    assert first.get_attribute("open") is None
    first.locator("summary").click()
    assert first.get_attribute("open") is not None
    assert first.locator("p").first.is_visible()


def test_a_link_into_closed_details_opens_them(browser, nssi_build):
    context = browser.new_context()
    page = context.new_page()
    page.goto((nssi_build / "index.html").as_uri())
    link = page.locator("table.treatments a.to").first
    target = link.get_attribute("href")
    link.click()
    page.wait_for_function("id => document.querySelector(id).open", arg=target, timeout=5000)
    context.close()


def test_details_open_with_the_keyboard_and_the_first_tab_skips_to_the_answers(browser, nssi_build):
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.goto((nssi_build / "index.html").as_uri())
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
    summary = page.locator("details.finding summary").first
    summary.focus()
    page.keyboard.press("Enter")
    assert page.locator("details.finding").first.get_attribute("open") is not None
    context.close()


LUMINANCE = """c => { const v = c.match(/[\\d.]+/g).slice(0, 3).map(x => x / 255)
    .map(x => x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);
    return 0.2126 * v[0] + 0.7152 * v[1] + 0.0722 * v[2] }"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_enough_contrast_in_light_and_in_dark(scheme, open_page):
    page = open_page(1280, color_scheme=scheme)
    page.evaluate(OPEN_ALL)
    weak = page.evaluate(f"""() => {{
        const luminance = {LUMINANCE};
        const ratio = (a, b) => {{ const [x, y] = [luminance(a), luminance(b)].sort((p, q) => q - p);
            return (x + 0.05) / (y + 0.05) }};
        const behind = e => {{ for (let n = e; n; n = n.parentElement) {{
            const c = getComputedStyle(n).backgroundColor;
            if (!/, 0\\)$|transparent/.test(c)) return c }} return 'rgb(255, 255, 255)' }};
        const found = new Set();
        for (const e of document.querySelectorAll('body *')) {{
            if (![...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim())) continue;
            if (e.closest('script, style, title, desc')) continue;
            const style = getComputedStyle(e);
            const ink = e.closest('svg') ? style.fill : style.color;
            if (!ink.startsWith('rgb')) continue;
            const r = ratio(ink, behind(e));
            const least = parseFloat(style.fontSize) >= 24 ? 3 : 4.5;
            const name = `${{e.tagName}}.${{e.className.baseVal ?? e.className}}`;
            if (r < least) found.add(`${{name}} ${{ink}} on ${{behind(e)}}: ${{r.toFixed(2)}}`);
        }}
        return [...found];
    }}""")
    assert weak == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_palette_of_the_style_passes_aa(scheme, open_page):
    page = open_page(1280, color_scheme=scheme)
    values = page.evaluate("""() => { const probe = document.body.appendChild(document.createElement('i'));
        const read = name => { probe.style.color = `var(--${name})`; return getComputedStyle(probe).color };
        const names = ['paper', 'ink', 'muted', 'accent', 'leaf', 'amber', 'wash', 'card'];
        const all = Object.fromEntries(names.map(n => [n, read(n)]));
        probe.remove(); return all }""")

    def luminance(colour):
        parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
        parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    for back in ("paper", "wash", "card"):
        for ink in ("ink", "muted", "accent", "leaf", "amber"):
            light, dark = sorted((luminance(values[ink]), luminance(values[back])), reverse=True)
            least = 3.0 if ink == "amber" else 4.5  # amber marks points of lists, no words
            assert (light + 0.05) / (dark + 0.05) >= least, (ink, back)


def words_of(page):
    """Return the text of the page without the titles of publications."""
    return page.evaluate("""() => { const copy = document.body.cloneNode(true);
        copy.querySelectorAll('.studies, script, style').forEach(e => e.remove()); return copy.textContent }""")


def test_the_words_of_the_page_do_no_harm(open_page):
    from comfrey.review.messaging import unkind_words

    assert list(unkind_words(words_of(open_page(1280)))) == []


def test_no_heading_card_or_title_names_a_form(open_page, nssi):
    page = open_page(1280)
    told = page.evaluate(
        "[document.title, ...[...document.querySelectorAll('h1,h2,h3,.card')].map(e => e.textContent)]"
    )
    forms = [word for key in nssi.spec.vocabularies["form"] for word in (key.split("_")[0],) if word != "other"]
    assert [(word, text) for text in told for word in forms if re.search(rf"\b{word}", text.lower())] == []


def test_no_score_or_level_of_risk_is_given_for_a_person(open_page):
    text = words_of(open_page(1280)).lower()
    levels = r"\b(low|medium|moderate|high)[- ]risk (patient|person|group)"
    for bad in (levels, "risk score", "your risk", "risk level", "risk calculator"):
        assert not re.search(bad, text), bad


def test_the_page_says_that_nssi_is_no_suicide_attempt_and_not_harmless(open_page):
    about = open_page(1280).locator(".about").inner_text()
    assert "not a suicide attempt" in about
    assert "not harmless" in about


def test_wherever_relief_is_spoken_of_its_other_side_stands_beside(open_page, nssi):
    page = open_page(1280)
    counterpart = next(question.counterpart for question in nssi.spec.questions if question.kind == "mechanisms")
    alone = page.evaluate(
        """counterpart => [...document.querySelectorAll('.card, section.question')].filter(e =>
        [...e.querySelectorAll('h2, h3, .sentence, .lead, .name')].some(n => /\\brelief|reliev/i.test(n.textContent))
        && !e.textContent.includes(counterpart)).map(e => e.id || e.textContent.slice(0, 60))""",
        counterpart,
    )
    assert alone == []
    assert page.get_by_text(counterpart).count() >= 2  # on the card and in the section


def test_no_picture_but_drawings_is_on_the_page(open_page):
    page = open_page(1280)
    assert (
        page.locator("img, video, audio, iframe, object, embed, canvas, link[rel=stylesheet], script[src]").count() == 0
    )
    assert page.evaluate("document.cookie") == ""


@pytest.mark.parametrize("width", WIDTHS)
def test_the_other_shipped_review_fits_too_and_has_no_help_box(width, browser, bcg_build):
    context = browser.new_context(viewport={"width": width, "height": 844})
    page = context.new_page()
    page.goto((bcg_build / "index.html").as_uri())
    page.evaluate(OPEN_ALL)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.locator(".help, .leave").count() == 0
    assert page.locator("#answers .card").count() == 1
    context.close()


def test_the_page_prints_without_navigation(open_page):
    page = open_page(1280)
    page.emulate_media(media="print")
    try:
        assert not page.locator("nav").is_visible()
        assert page.locator(".help").is_visible()
    finally:
        page.emulate_media(media="screen")
