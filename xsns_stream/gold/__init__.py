"""Gold transfer scores: public formats → `TransferScores`, checked; one file format of our own.

A gold score is what fine-tuning on a source and testing on a target gave. Predictions are held against it.
"""

from xsns_stream.gold.importing import FORMATS, ImportedScores, frame_scores, import_scores
from xsns_stream.gold.score_files import SCORE_FORMATS, ScoreSummary, read_scores, summarise, write_scores

__all__ = [
    "FORMATS",
    "SCORE_FORMATS",
    "ImportedScores",
    "ScoreSummary",
    "frame_scores",
    "import_scores",
    "read_scores",
    "summarise",
    "write_scores",
]
