"""Telling people what happened to them: at least once, and never before it is durable.

    told        what of a committed record somebody must be told
    wording     a notice in words and numbers: why, which rank, which price, which arithmetic
    tables      the outbox: a cursor into the journal and one row for each recipient and channel
    outbox      rows filled with the cursor, claimed by one sender at a time, kept as a log
    recipients  who gets a notice, by which channel, with which facts
    page        the frame around the words; a directory of templates can replace it
    mail        a batch of notices over one SMTP connection
    webhook     signed requests, as Standard Webhooks says
    courier     claims what is due, sends it, and notes what came of it
    notifier    all of it beside a runner

Receivers tell a repetition by its id: `webhook-id`, or `Message-ID` of a mail.
"""
