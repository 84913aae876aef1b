"""What a headroom run shows in pictures; it reads tables by their columns, and leaves out what they do not hold."""

from hostcap_stock.headroom.report.views import headroom_report

__all__ = ["headroom_report"]
