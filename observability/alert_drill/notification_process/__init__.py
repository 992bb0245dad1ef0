"""Notification process of the alert drill: the shop's own, with a faulty mail client if DRILL_MAIL names one."""
