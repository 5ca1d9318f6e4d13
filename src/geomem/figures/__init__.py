"""Pictures of a fleet: what they show (`views`), their numbers (`tables`), matplotlib (`drawing`)."""

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
from geomem.figures.views import FleetView, view_fleet

__all__ = [
    "FleetView",
    "draw_curves",
    "draw_dynamics",
    "draw_embedding",
    "draw_heatmap",
    "draw_map",
    "draw_shells",
    "draw_spectrum",
    "map_side_by_side",
    "save_figure",
    "save_figures",
    "side_by_side",
    "view_fleet",
]
