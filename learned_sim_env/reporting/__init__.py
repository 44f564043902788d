"""Tables, figures and the HTML page of an evaluation."""

from __future__ import annotations

from learned_sim_env.reporting.html import write_html
from learned_sim_env.reporting.parts import Part, Table, Target
from learned_sim_env.reporting.write import print_tables, write_report

__all__ = ["Part", "Table", "Target", "print_tables", "write_html", "write_report"]
