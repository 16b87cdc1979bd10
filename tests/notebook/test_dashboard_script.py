"""The modules of the dashboard's page as one text."""

from __future__ import annotations

import pytest

from kfwd_nb.notebook.dashboard import script, widget

pytestmark = pytest.mark.pure


def test_what_is_imported_comes_first_and_nothing_is_imported_or_exported_any_more():
    text = script.joined(
        {
            "a.js": 'import { two } from "./b.js";\n'
            'import {\n  one,\n  three,\n} from "./c.js";\n\n'
            "export default { one, two, three };\n",
            "b.js": 'import { one } from "./c.js";\n\nexport const two = one + 1;\n',
            "c.js": "export function one() {}\n\nexport class three {}\n",
        }
    )
    assert [line for line in text.splitlines() if line] == [
        *("// -- c.js", "function one() {}", "class three {}"),
        *("// -- b.js", "const two = one + 1;"),
        *("// -- a.js", "export default { one, two, three };"),
    ]


@pytest.mark.parametrize(
    ("modules", "wrong"),
    [
        (
            {"a.js": "const one = 1;\n", "b.js": "export class one {}\n"},
            "one is declared in a.js and again in b.js",
        ),
        (
            {"a.js": 'import { one } from "./b.js";\n', "b.js": "const one = 1;\n"},
            "a.js imports 'one', which b.js does not export",
        ),
        ({"a.js": 'import { one } from "./b.js";\n'}, "which b.js does not export"),
        (
            {
                "a.js": 'import { two } from "./b.js";\nexport const one = 1;\n',
                "b.js": 'import { one } from "./a.js";\nexport const two = 2;\n',
            },
            "modules import each other: ",
        ),
        (
            {"a.js": 'import { one as two } from "./b.js";\n', "b.js": "export const one = 1;\n"},
            "'one as two', which b.js does not export",
        ),
        (
            {"a.js": 'import * as b from "./b.js";\n'},
            "a.js has what cannot be joined: import * as b",
        ),
        ({"a.js": "export { one };\n"}, "a.js has what cannot be joined: export { one }"),
    ],
)
def test_what_would_not_mean_the_same_is_refused(modules, wrong):
    with pytest.raises(ValueError) as refused:
        script.joined(modules)
    assert wrong in str(refused.value)


def test_every_module_of_the_page_is_in_it():
    text = script.read(widget.PAGE)
    files = {each.name for each in widget.PAGE.glob("*.js")}
    assert {line[6:] for line in text.splitlines() if line.startswith("// -- ")} == files
    imported = {
        each
        for each in files
        if any(
            f'from "./{each}";' in other.read_text("utf-8") for other in widget.PAGE.glob("*.js")
        )
    }
    assert files - imported == {"dashboard.js"}, "all but the first are used by another"
