from .measured import MEASUREMENTS as MEASUREMENTS
from .measured import is_memorized as is_memorized
from .parts import SweepProgress as SweepProgress
from .running import Sweep as Sweep
from .running import sweep as sweep
