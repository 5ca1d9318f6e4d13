"""Pictures of fleets: what they show (`views`), numbers (`tables`), matplotlib; maps of sweeps (`phases`)."""

from geomem.figures.drawing import (
    draw_curves,
    draw_dynamics,
    draw_embedding,
    draw_heatmap,
    draw_map,
    draw_shells,
    draw_spectrum,
    map_side_by_side,
    save_figure,
    save_figures,
    side_by_side,
)
from geomem.figures.field_drawing import draw_fields, draw_points, tabulate_fields, tabulate_points
from geomem.figures.phases import phase_diagram, tabulate_phases
from geomem.figures.views import FleetView, view_fleet

__all__ = [
    "FleetView",
    "draw_curves",
    "draw_dynamics",
    "draw_embedding",
    "draw_fields",
    "draw_heatmap",
    "draw_map",
    "draw_points",
    "draw_shells",
    "draw_spectrum",
    "map_side_by_side",
    "phase_diagram",
    "save_figure",
    "save_figures",
    "side_by_side",
    "tabulate_fields",
    "tabulate_phases",
    "tabulate_points",
    "view_fleet",
]
