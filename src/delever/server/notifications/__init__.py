"""Notices to accounts and to the operator: delivered at least once, and only once durable.

1. selection        the notices of a committed record, and their ids
2. message_text     the text of a notice: why, which rank, which price, which arithmetic
3. outbox           rows to deliver, claimed by one process at a time, then a log; also the watch's
4. recipients       notifications for the recipients of a configuration
5. templates        mails around the text, replaceable by a directory
6. delivery_worker  claims notifications that are due, sends them, records the results
7. channels         SMTP and signed webhooks
8. notifier         all of it for a runner

Receivers recognize a repeated delivery by its id: `webhook-id`, or the mail's `Message-ID`.
"""
