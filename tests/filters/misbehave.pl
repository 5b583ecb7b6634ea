# tests/filters/misbehave.pl - a filter that passes a stream on as it is, and dies of what it reads in it
#
#   misbehave.pl [-once FILE] [-each S]   a unit with "segv" kills it by a signal, "exit7" ends it with 7,
#                                 "hang" makes it sleep; with -once only while FILE is not there.
#                                 It takes S seconds for each unit
use strict;
use warnings;
binmode STDIN;
binmode STDOUT;
$| = 1;
my %option = @ARGV;
my ($once, $each) = @option{'-once', '-each'};
my $buf = '';

sub need { my $n = shift; while (length $buf < $n) { sysread(STDIN, $buf, 65536, length $buf) or return 0 } 1 }
# The size of the object at $at, with all it holds; 0 at the end of input.
sub size_at {
    my $at = shift;
    need($at + 1) or return 0;
    my $b = ord substr $buf, $at, 1;
    my $skip = sub {
        my ($s, $n) = @_;
        for (1 .. $n) { my $one = size_at($at + $s) or return 0; $s += $one }
        $s;
    };
    my $len = sub { my ($n, $f) = @_; need($at + 1 + $n) or return 0; 1 + $n + unpack $f, substr $buf, $at + 1, $n };
    return 1 if $b < 0x80 || $b >= 0xe0 || ($b >= 0xc0 && $b <= 0xc3);
    return $skip->(1, 2 * ($b & 15)) if $b < 0x90;
    return $skip->(1, $b & 15) if $b < 0xa0;
    return 1 + ($b & 31) if $b < 0xc0;
    return $len->(1, 'C') if $b == 0xc4 || $b == 0xd9;
    return $len->(2, 'n') if $b == 0xc5 || $b == 0xda;
    return $len->(4, 'N') if $b == 0xc6 || $b == 0xdb;
    return 5 if $b == 0xca || $b == 0xce || $b == 0xd2;
    return 9 if $b == 0xcb || $b == 0xcf || $b == 0xd3;
    return 2 if $b == 0xcc || $b == 0xd0;
    return 3 if $b == 0xcd || $b == 0xd1;
    need($at + 5);
    return $skip->(3, unpack 'n', substr $buf, $at + 1, 2) if $b == 0xdc;
    return $skip->(3, 2 * unpack 'n', substr $buf, $at + 1, 2) if $b == 0xde;
    return $skip->(5, unpack 'N', substr $buf, $at + 1, 4) if $b == 0xdd;
    return $skip->(5, 2 * unpack 'N', substr $buf, $at + 1, 4) if $b == 0xdf;
    die "misbehave: byte $b\n";
}

while (my $n = size_at(0)) {
    need($n);
    my $object = substr $buf, 0, $n, '';
    if (!$once || !-e $once) {
        my $do = $object =~ /(segv|exit7|hang)/ ? $1 : '';
        if ($do && $once) { open my $f, '>', $once; close $f }
        kill SEGV => $$ if $do eq 'segv';
        exit 7 if $do eq 'exit7';
        sleep 1000 if $do eq 'hang';
    }
    select undef, undef, undef, $each if $each;
    syswrite STDOUT, $object or exit 0;
}
