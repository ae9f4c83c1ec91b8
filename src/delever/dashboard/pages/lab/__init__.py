"""The lab's pages, in reading order.

study          many scenarios: policies, sizes of the fund, and a plan; opens on an example
study_inputs   the form of a study, and its inputs as query parameters
study_results  the panels of a study
fund_chart     probability of ADL and expected cost by size of the fund
crash          one crash under several rule sets, through time
"""
