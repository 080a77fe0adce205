"""Effect measures: study data in, estimate and sampling variance out."""
