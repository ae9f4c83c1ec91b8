"""Finished runs and comparisons: stored, drawn, and as one HTML file.

table_store         a comparison or study in a file of any format, recognized by its columns
run_store           a finished run in a directory, or any other result
run_headline        the sentence, the figures and the payers at the head of a report
run_plots           pictures of a run, and of a shock under several rule sets
comparison_plots    pictures of positions ranked under several rule sets
study_plots         pictures of fund curves and of measures with intervals
html_report         one HTML file of any of them
interactive         a crash as pages that people share: the playback of its queue
"""
