"""What is wrong or risky on this host and in this site: judgements apart from the looking, each with a remedy."""
