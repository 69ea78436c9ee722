"""Gold transfer scores: import from public formats, checks, and reading and writing of this program's score files.

A gold score is the measured score of a model that was fine-tuned on a source language and tested on a target language.
Predictions are compared with gold scores.
"""

from xsns_stream.gold.importing import FORMATS, ImportedScores, frame_scores, import_scores
from xsns_stream.gold.problems import FileProblemsError, Remedy
from xsns_stream.gold.score_files import SCORE_FORMATS, ScoreSummary, read_scores, summarise, write_scores

__all__ = [
    "FORMATS",
    "SCORE_FORMATS",
    "FileProblemsError",
    "ImportedScores",
    "Remedy",
    "ScoreSummary",
    "frame_scores",
    "import_scores",
    "read_scores",
    "summarise",
    "write_scores",
]
