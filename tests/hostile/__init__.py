"""What strangers can say on chain, grown by one event at a time: nobody else's rows may change."""
