"""All studies by name."""

from geomem.errors import unknown_name
from geomem.studies import bias, bipartite, headroom, helps, language, real_graphs, why_geometry
from geomem.studies.study import Study

STUDIES: dict[str, Study] = {
    study.name: study
    for study in (
        *(headroom.STUDY, helps.STUDY, real_graphs.STUDY, bipartite.STUDY),
        *(bias.STUDY, why_geometry.STUDY, language.STUDY),
    )
}
"""Every study by its name."""


def find_study(name: str) -> Study:
    """The study of a name; raises `InputError` if there is none.

    >>> find_study("headroom").seeds
    5
    """
    if name not in STUDIES:
        raise unknown_name(
            f"{name!r} is not a study", name, STUDIES, otherwise=f"give one of {', '.join(STUDIES)}"
        )
    return STUDIES[name]
