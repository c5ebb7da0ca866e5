"""What schemathesis sends against the document, and is no finding."""

import schemathesis


@schemathesis.hook
def before_call(context, case, kwargs):
    _id_of_a_link(case)
    _header_that_could_not_be_drawn(case)


def _id_of_a_link(case):
    """Stateful runs take ids from answers: any property whose name ends in "Id".

    One of them may be empty, which the document forbids an id in a path (minLength 1),
    and without its segment the path is another one's.
    """
    if (case.path_parameters or {}).get("id") == "":
        case.path_parameters["id"] = "0"


def _header_that_could_not_be_drawn(case):
    """The coverage phase draws headers of ASCII letters and digits alone.

    (HEADER_ALLOWED_CHARS in specs/openapi/coverage/_wire.py.) For a pattern that needs
    others, as that of If-Match does, it sends an empty value, and calls it valid.
    """
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if (case.headers or {}).get("If-Match") == "":
        case.headers["If-Match"] = "*"
